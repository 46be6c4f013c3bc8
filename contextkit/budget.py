"""The token budget of a call: a window, what is kept for the reply, shares of sections."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_WINDOW = 8192
"""Where neither the budget nor the backend names a window."""


def input_limit(window: int, reply_reserve: int, max_input_tokens: int | None) -> int:
    """Tokens that the input may take: the window without the reply reserve, or what the model takes."""
    limit = window - reply_reserve
    return limit if max_input_tokens is None else min(limit, max_input_tokens)


class Budget(BaseModel):
    """`window` tokens in all, `reply_reserve` of them for the answer; `shares` cap sections.

    Without a `window` the backend's own context window is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int | None = Field(
        default=None, ge=16, description="Tokens of input and reply together"
    )
    reply_reserve: int | None = Field(
        default=None,
        ge=1,
        description="Tokens kept for the reply; by default an eighth, at most 4,096",
    )
    shares: dict[str, float] = Field(
        default_factory=dict[str, float],
        description="Section that a policy fills, such as retrieved or summaries, to the share of the "
        "input that it may take",
    )

    @model_validator(mode="after")
    def _check(self) -> Budget:
        if self.window and self.reply_reserve and self.reply_reserve >= self.window:
            raise ValueError(
                f"reply_reserve: {self.reply_reserve} leaves nothing of a window of {self.window}; "
                "make it smaller than the window"
            )
        for section, share in self.shares.items():
            if not 0 < share <= 1:
                raise ValueError(
                    f"shares.{section}: {share} is not a share; use a number in (0, 1]"
                )
        return self

    def resolve(self, context_window: int | None) -> tuple[int, int]:
        """The window and the reply reserve in force, given the backend's own window.

        A budget larger than the backend's window is cut to it: a call over it would be refused.
        """
        window = self.window or context_window or DEFAULT_WINDOW
        if context_window:
            window = min(window, context_window)
        reserve = self.reply_reserve or max(1, min(4096, window // 8))
        return window, min(reserve, window - 1)
