"""`words`: prose in fewer tokens without a model; whole sentences first, then word by word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from contextkit.compression.base import Compressed, Count, ProtectedMass
from contextkit.compression.fill import keep_to_target
from contextkit.compression.spans import words
from contextkit.compression.surprisal import scores


@dataclass(frozen=True, slots=True)
class Words:
    """Fills the target exactly; numbers, names, negations and quotes stay at any rate.

    Where they alone are too much, `on_protected` decides: `error` raises `ProtectedMass`, `stub` lets
    whole sentences leave with what they hold, each gap with a note that names the handle.
    """

    kind: ClassVar[str] = "words"

    on_protected: Literal["error", "stub"] = "error"

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens. Raises `ProtectedMass`."""
        tokens = count(text)
        if tokens <= target_tokens:
            return Compressed(text, tokens, target_tokens, tokens, self.kind, "fits")
        units = words(text)
        try:
            told = keep_to_target(text, units, scores(text, units, question), target_tokens, count)
        except ProtectedMass:
            if self.on_protected == "error":
                raise
            from contextkit.compression.structure import Structure

            made = Structure("stub").compress(
                text, target_tokens, count, question=question, handle=handle
            )
            return Compressed(
                made.text, tokens, target_tokens, made.achieved_tokens, self.kind, "whole sentences"
            )
        return Compressed(told, tokens, target_tokens, count(told), self.kind)
