"""`longllmlingua`: what the question needs stays (Jiang et al. 2024, arXiv:2310.06839).

A document is judged by how likely the question is behind it; words by how much likelier the question makes
them; better documents keep more. `recover` puts back into a reply what was cut out of the names it quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, repeat
from math import exp
from statistics import fmean, pstdev
from typing import ClassVar, Literal

from contextkit.compression.base import Compressed, Count
from contextkit.compression.classifier import shipped
from contextkit.compression.in_step import Asking, Task, in_step
from contextkit.compression.iterating import cut_out, iterate
from contextkit.compression.llmlingua import LLMLingua
from contextkit.compression.phrases import phrases
from contextkit.compression.scoring import Asked, Scorer, SurprisalScorer
from contextkit.compression.spans import Word, words
from contextkit.compression.telling import (
    PROTECTED_SHARE,
    OnProtected,
    Part,
    Teller,
    choose,
    costs_of,
    document_bounds,
    documents_of,
    parts,
    sentence_bounds,
    stay,
)
from contextkit.compression.units import Units, units_of

COARSE = 3.0
"""Documents and sentences are chosen up to this many times the target; words leave from there."""
RESTRICT = " We can get the answer to this question in the given documents."
"""Said behind the question when a document is judged by it (the paper's x^restrict)."""


@dataclass(frozen=True, slots=True)
class LongLLMLingua:
    """Documents are paragraphs between empty lines; without a question it is `llmlingua`.

    `spread` is the paper's delta: how much more than the middle one the best document keeps. `order`:
    `original`, `sort` (best first) or `two_stage` (best at both ends). `prior` is the weight of the shipped
    word classifier beside the contrast; 0 leaves the paper's score alone.
    """

    kind: ClassVar[str] = "longllmlingua"

    scorer: Scorer = field(default_factory=SurprisalScorer)
    on_protected: OnProtected = "error"
    spread: float = 0.3
    order: Literal["original", "sort", "two_stage"] = "original"
    prior: float = 1.0

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
        """Asks about the question behind every document, then about segments with it and without."""
        text, target, question = task.text, task.target_tokens, task.question
        tokens = task.count(text)
        if tokens <= target:
            return Compressed(text, tokens, target, tokens, self.kind, "fits")
        if not question.strip():
            return (yield from LLMLingua(self.scorer, self.on_protected).plan(task))
        single = units_of(text)
        units = phrases(text, single)
        costs = costs_of(units, text, tokens)
        documents = parts(document_bounds(text), units, costs)
        distance = yield from self._distances(text, units, documents, question)
        if self.order != "original" and len(documents) > 1:
            text = _reordered(text, units, documents, distance, self.order)
            again = LongLLMLingua(self.scorer, self.on_protected, self.spread, prior=self.prior)
            return (yield from again.plan(replace(task, text=text)))
        prior = of_phrases(single, units, shipped().scores(text, single, question))
        inside = self._coarse(text, units, costs, documents, distance, prior, target)
        scores = yield from self._words(
            text, units, costs, documents, distance, inside, question, target
        )
        if self.prior:
            scores = [s + self.prior * p for s, p in zip(scores, _standard(prior), strict=True)]
        return Teller(self.kind, self.on_protected, task.handle).tell(
            text, units, scores, inside, target, task.count, self.scorer.kind
        )

    def _distances(
        self, text: str, units: Units, documents: Sequence[Part], question: str
    ) -> Asking[list[float]]:
        """r_k: mean bits of the question behind each document; lower is better (eq. 2)."""
        said = question + RESTRICT
        heard = [word.stop for word in words(said)]
        asked = [
            Asked(cut_out(text, units.take(slice(part.first, part.stop)))[0], said, heard)
            for part in documents
        ]
        answers = yield asked
        return [fmean(bits) for bits in answers]

    def _coarse(
        self,
        text: str,
        units: Sequence[Word],
        costs: Sequence[float],
        documents: Sequence[Part],
        distance: Sequence[float],
        prior: Sequence[float],
        target: int,
    ) -> list[bool]:
        """Documents by r_k, then sentences by the likelihood that they hold the answer."""
        chosen = choose(documents, [-d for d in distance], COARSE * target, float("inf"))
        inside = stay(documents, chosen, len(units))
        sentences = [
            part for part in parts(sentence_bounds(text), units, costs) if inside[part.first]
        ]
        kept = choose(
            sentences, worths(sentences, prior), COARSE * target, PROTECTED_SHARE * target
        )
        return stay(sentences, kept, len(units))

    def _words(
        self,
        text: str,
        units: Sequence[Word],
        costs: Sequence[float],
        documents: Sequence[Part],
        distance: Sequence[float],
        inside: Sequence[bool],
        question: str,
        target: int,
    ) -> Asking[list[float]]:
        """The contrastive score at each document's own rate (eqs. 3 and 5)."""
        members = [*compress(range(len(units)), inside)]
        base = target / max(1.0, sum(compress(costs, inside)))
        of = documents_of(documents, len(units))
        ranked = sorted({*compress(of, inside)}, key=lambda d: (distance[d], d))
        rates = {
            document: min(1.0, max(0.0, base + (1 - 2 * rank / len(ranked)) * self.spread))
            for rank, document in enumerate(ranked)
        }
        own = [*map(rates.get, of, repeat(0.0))]
        return iterate(text, units, members, costs, own, self.scorer, question)


def _reordered(
    text: str,
    units: Sequence[Word],
    documents: Sequence[Part],
    distance: Sequence[float],
    order: str,
) -> str:
    """The documents best first, or the best at both ends and the worst in the middle."""
    ranked = sorted(range(len(documents)), key=lambda d: (distance[d], d))
    if order == "two_stage":
        ranked = [*ranked[::2], *reversed(ranked[1::2])]
    pieces = [
        text[units[documents[d].first].start : units[documents[d].stop - 1].stop].strip()
        for d in ranked
    ]
    return "\n\n".join(pieces)


def of_phrases(
    single: Sequence[Word], units: Sequence[Word], scores: Sequence[float]
) -> list[float]:
    """A phrase's score: half its best word's, half the mean of all."""
    found: list[float] = []
    at = 0
    for unit in units:
        first = at
        while at < len(single) and single[at].stop <= unit.stop:
            at += 1
        own = scores[first:at]
        found.append((max(own) + sum(own) / len(own)) / 2)
    return found


def worths(found: Sequence[Part], scores: Sequence[float]) -> list[float]:
    """What a part is worth: the likelihood that it holds the answer, by the root of its length."""
    top = max(scores, default=0.0)
    return [
        sum(exp(score - top) for score in scores[part.first : part.stop])
        / max(part.tokens, 1) ** 0.5
        for part in found
    ]


def _standard(scores: Sequence[float]) -> list[float]:
    """Scores with mean 0 and deviation 1."""
    mean, spread = fmean(scores), pstdev(scores) or 1.0
    return [(score - mean) / spread for score in scores]
