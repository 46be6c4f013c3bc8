"""The contract of compression methods, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from contextkit.errors import ContextKitError

Count: TypeAlias = Callable[[str], int]
"""Tokens of a text, counted as the model that will read it counts."""


class ProtectedMass(ContextKitError):
    """What may never be dropped is over the target by itself; both numbers are told."""

    def __init__(self, protected_tokens: int, target_tokens: int) -> None:
        self.protected_tokens, self.target_tokens = protected_tokens, target_tokens
        super().__init__(
            f"{protected_tokens:,} tokens of numbers, names, negations and quotes have to stay, "
            f"but the target is {target_tokens:,}; raise the target, or set on_protected: stub"
        )


@dataclass(frozen=True, slots=True)
class Compressed:
    """A text in fewer tokens; `achieved_tokens` is never above `target_tokens`.

    Text that fits its target comes back unchanged, byte for byte.
    """

    text: str
    source_tokens: int
    target_tokens: int
    achieved_tokens: int
    method: str
    note: str = ""

    @property
    def rate(self) -> float:
        """Share of the tokens that is left."""
        return self.achieved_tokens / self.source_tokens if self.source_tokens else 1.0


class Compresses(Protocol):
    """Tells a text in fewer tokens."""

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens, by `count`. Raises `ProtectedMass`.

        What the `question` names stays longer; `handle` is told where something was left out.
        """
        ...


class Method(Compresses, Protocol):
    """One way to compress. Implementations are frozen: their fields are their configuration."""

    kind: ClassVar[str]
