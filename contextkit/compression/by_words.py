"""`words`: prose in fewer tokens without a model; whole sentences first, then word by word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contextkit.compression.base import Compressed, Count
from contextkit.compression.source import begin
from contextkit.compression.surprisal import scores
from contextkit.compression.telling import OnProtected, Teller, within_mass


@dataclass(frozen=True, slots=True)
class Words:
    """Fills the target exactly; numbers, names, negations and quotes stay at any rate.

    Where they alone are too much, `on_protected` decides: `error` raises `ProtectedMass`, `stub` lets
    whole sentences leave with what they hold, and one line at the end names the handle.
    """

    kind: ClassVar[str] = "words"

    on_protected: OnProtected = "error"

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
        source = begin(self.kind, text, target_tokens, count, names_whole=False)
        if isinstance(source, Compressed):
            return source
        units = source.units
        said = scores(text, units, question)
        inside = [True] * len(units)
        if self.on_protected == "stub":
            sentences = source.sentences()
            worths = [max(said[part.first : part.stop]) for part in sentences]
            inside = within_mass(sentences, worths, target_tokens, len(units))
        return Teller(self.kind, self.on_protected, handle).tell(
            text, units, said, inside, target_tokens, count, tokens=source.tokens
        )
