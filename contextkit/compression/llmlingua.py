"""`llmlingua`: budget controller, sentences, then words behind what survived (Jiang et al. 2023).

arXiv:2310.05736 as the paper has it: documents and sentences of high perplexity first (more is new in
them), each level at more than the target; then `iterating`. Text that the question does not concern is not
told apart: see `longllmlingua`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress
from math import inf
from typing import ClassVar

import numpy as np

from contextkit.compression.base import Compressed, Count
from contextkit.compression.in_step import Asking, Task, in_step
from contextkit.compression.iterating import cut_out, iterate
from contextkit.compression.scoring import Asked, Scorer, SurprisalScorer
from contextkit.compression.source import begin
from contextkit.compression.telling import (
    PROTECTED_SHARE,
    OnProtected,
    Part,
    Teller,
    choose,
    document_bounds,
    parts,
    sentence_bounds,
    stay,
)
from contextkit.compression.units import Units

DOCUMENTS, SENTENCES = 2.0, 1.4
"""How many times the target documents, then sentences, may take (the paper's k; its release's ratio)."""


@dataclass(frozen=True, slots=True)
class LLMLingua:
    """Words that a model did not expect stay. `pin_first` and `pin_last` sentences leave last."""

    kind: ClassVar[str] = "llmlingua"

    scorer: Scorer = field(default_factory=SurprisalScorer)
    on_protected: OnProtected = "error"
    pin_first: int = 0
    pin_last: int = 0

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
        task = Task(text, target_tokens, count, question, handle)
        return in_step(self.scorer, [self.plan(task)])[0]

    def plan(self, task: Task) -> Asking[Compressed]:
        """Asks about documents first, then about the segments of what stays, one behind the other."""
        text, target = task.text, task.target_tokens
        source = begin(self.kind, text, target, task.count)
        if isinstance(source, Compressed):
            return source
        units, costs = source.units, source.costs
        inside = yield from self._coarse(text, units, costs, target)
        members = [*compress(range(len(units)), inside)]
        rate = min(1.0, target / max(1.0, sum(compress(costs, inside))))
        rates = [rate] * len(units)
        scores = yield from iterate(text, units, members, costs, rates, self.scorer)
        return Teller(self.kind, self.on_protected, task.handle).tell(
            text, units, scores, inside, target, task.count, self.scorer.kind, source.tokens
        )

    def _coarse(
        self, text: str, units: Units, costs: Sequence[float], target: int
    ) -> Asking[list[bool]]:
        """The budget controller: documents, then sentences, by their mean bits a word."""
        documents = parts(document_bounds(text), units, costs)
        bits = yield from score_parts(text, units, documents, self.scorer)
        worth = _pinned(_means(documents, bits), self.pin_first > 0, self.pin_last > 0)
        chosen = choose(documents, worth, DOCUMENTS * target, inf)
        inside = stay(documents, chosen, len(units))
        sentences = [
            part for part in parts(sentence_bounds(text), units, costs) if inside[part.first]
        ]
        worth = _pinned(_means(sentences, bits), self.pin_first, self.pin_last)
        kept = choose(sentences, worth, SENTENCES * target, PROTECTED_SHARE * target)
        return stay(sentences, kept, len(units))


def score_parts(
    text: str, units: Units, found: Sequence[Part], scorer: Scorer
) -> Asking[list[float]]:
    """Asks for bits a word of every unit, each part read by itself."""
    if type(scorer) is SurprisalScorer:
        return _by_form(text, units, scorer)
    cut = [cut_out(text, units.take(slice(part.first, part.stop))) for part in found]
    answers = yield [Asked("", own, inside.stops.tolist()) for own, inside in cut]
    bits: list[float] = (np.concatenate(answers) / units.n_words(text)).tolist()
    return bits


def _by_form(text: str, units: Units, scorer: SurprisalScorer) -> list[float]:
    """Bits a word where what stands before changes nothing: each written unit is scored once."""
    written = units.written(text)
    distinct = [*dict.fromkeys(written)]
    ends = [*accumulate(map(len, distinct))]
    (bits,) = scorer.score_many([Asked("", "".join(distinct), ends)])
    of = {unit: bit / (len(unit.split()) or 1) for unit, bit in zip(distinct, bits, strict=True)}
    return [*map(of.__getitem__, written)]


def _means(found: Sequence[Part], bits: Sequence[float]) -> list[float]:
    return [sum(bits[part.first : part.stop]) / max(1, part.stop - part.first) for part in found]


def _pinned(worths: list[float], first: int, last: int) -> list[float]:
    """The worths, those of the first and last ones above all others."""
    edge = len(worths) - last
    return [inf if i < first or i >= edge else worth for i, worth in enumerate(worths)]
