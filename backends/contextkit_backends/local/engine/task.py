"""One request to the engine, and how far its answer has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from contextkit.errors import ConfigError, ContextKitError
from contextkit_backends.local.engine.constrain import JsonConstraint
from contextkit_backends.local.engine.sampling import Draws, Sampling

FinishReason: TypeAlias = Literal["stop", "length", "error"]


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: token ids, how many may come back, how they are chosen, what ends them."""

    prompt: tuple[int, ...]
    max_new_tokens: int
    sampling: Sampling = GREEDY
    eos: frozenset[int] = frozenset()
    salt: str = ""
    """Whose prefixes may be shared: a tenant's, set by the server."""
    constraint: Callable[[], JsonConstraint] | None = None
    logprobs: bool = False
    keep: bool = False
    """Go on from the kept sequence that the prompt continues, and be kept for the next one."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ConfigError("prompt: has no tokens; a model needs at least one to go on from")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens: {self.max_new_tokens} must be at least 1")


class Task:
    """A request in the runner: its sequence while it has one, and the tokens so far."""

    def __init__(
        self, request: Request, number: int, sequence: Any = None, *, n_held: int = 0
    ) -> None:
        self.request, self.number = request, number
        self.ids = [*request.prompt]
        """Prompt and reply; those behind the sequence's length have not been read."""
        self.sequence: Any = sequence
        self.first = 0 if sequence is None else int(sequence.length) - n_held
        """The position of `ids[0]`: over 0 where the task goes on from what others have read.

        The sequence holds the first `n_held` of the ids already, for a position each, gaps aside.
        """
        self.repeatable = sequence is None or n_held > 0
        """Whether the ids alone say all that the reply goes on from."""
        self.keep: Callable[[list[int], Any], None] | None = None
        """Takes over the sequence, with the ids it has read, instead of having its pages given back."""
        self.n_cached = n_held
        """Prompt tokens that were found in the pool when the task was first begun."""
        self.logprobs: list[float] = []
        self.finish_reason: FinishReason | None = None
        self.error: ContextKitError | None = None
        self.draws = Draws(request.sampling.seed)
        self.constraint = request.constraint() if request.constraint is not None else None

    @property
    def tokens(self) -> list[int]:
        """The reply so far, its end token included."""
        return self.ids[len(self.request.prompt) :]

    @property
    def n_new(self) -> int:
        return len(self.ids) - len(self.request.prompt)

    @property
    def n_unread(self) -> int:
        """Tokens that have to go through the model before the next one is known."""
        return self.first + len(self.ids) - (0 if self.sequence is None else self.sequence.length)

    def unread(self, n: int) -> list[int]:
        """The first `n` of them."""
        start = self.sequence.length - self.first
        return self.ids[start : start + n]

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None

    @property
    def plain(self) -> bool:
        """Whether its next token is the likeliest one, and nothing more is asked."""
        return self.request.sampling.greedy and not self.constraint and not self.request.logprobs

    def take(self, token: int) -> None:
        """The next token was chosen."""
        self.ids.append(token)
        if token in self.request.eos:
            self.finish_reason = "stop"
            return
        if self.constraint is not None:
            self.constraint.take(token)
            if self.constraint.complete:
                self.finish_reason = "stop"
                return
        if self.n_new >= self.request.max_new_tokens:
            self.finish_reason = "length"

    def fail(self, error: ContextKitError) -> None:
        """The request ends without an answer."""
        self.error, self.finish_reason = error, "error"

    def close(self) -> None:
        """Give the sequence on, or its pages back; what was full stays to be found by its tokens."""
        sequence, self.sequence = self.sequence, None
        if sequence is None:
            return
        n_read = sequence.length - self.first
        if self.keep is not None and self.error is None and n_read > 0:
            self.keep(self.ids[:n_read], sequence)
        else:
            sequence.close()

    def restart(self) -> None:
        """Give the pages back, to be read again from the first token."""
        if self.sequence is not None:
            self.sequence.close()
        self.sequence, self.first = None, 0
