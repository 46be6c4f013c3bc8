"""`selective_context`: units of little self-information leave (Li et al. 2023, arXiv:2310.06201).

Bits are taken within each sentence; a unit (word, phrase, sentence) has the mean of its words' bits, or
their sum. Blanks and line breaks stay as they were, and names are never cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from contextkit.compression.base import Compressed, Count
from contextkit.compression.in_step import Asking, Task, in_step
from contextkit.compression.llmlingua import score_parts
from contextkit.compression.scoring import Scorer, SurprisalScorer
from contextkit.compression.source import begin
from contextkit.compression.telling import OnProtected, Teller, within_mass


@dataclass(frozen=True, slots=True)
class SelectiveContext:
    """`reduce: sum` is the paper's, and favours long units; `mean` is its release's, and the default."""

    kind: ClassVar[str] = "selective_context"

    scorer: Scorer = field(default_factory=SurprisalScorer)
    on_protected: OnProtected = "error"
    unit: Literal["word", "phrase", "sentence"] = "phrase"
    reduce: Literal["mean", "sum"] = "mean"

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens, whatever the question. Raises `ProtectedMass`."""
        task = Task(text, target_tokens, count, question, handle)
        return in_step(self.scorer, [self.plan(task)])[0]

    def plan(self, task: Task) -> Asking[Compressed]:
        """Asks about every sentence at once."""
        text, target = task.text, task.target_tokens
        source = begin(self.kind, text, target, task.count, names_whole=self.unit != "word")
        if isinstance(source, Compressed):
            return source
        units, sentences = source.units, source.sentences()
        bits = yield from score_parts(text, units, sentences, self.scorer)
        if self.reduce == "sum":
            bits = [
                bit * len(text[unit.start : unit.stop].split())
                for unit, bit in zip(units, bits, strict=True)
            ]
        told: Callable[[list[float]], float] = sum if self.reduce == "sum" else _mean
        worths = [told(bits[part.first : part.stop]) for part in sentences]
        if self.unit == "sentence":
            for part, worth in zip(sentences, worths, strict=True):
                bits[part.first : part.stop] = [worth] * (part.stop - part.first)
        inside = within_mass(sentences, worths, target, len(units))
        return Teller(self.kind, self.on_protected, task.handle).tell(
            text, units, bits, inside, target, task.count, self.scorer.kind, source.tokens
        )


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))
