"""`llmlingua`: budget controller, sentences, then words behind what survived (Jiang et al. 2023).

arXiv:2310.05736 as the paper has it: documents and sentences of high perplexity first (more is new in
them), each level at more than the target; then `iterating`. Text that the question does not concern is not
told apart: see `longllmlingua`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import ClassVar

from contextkit.compression.base import Compressed, Count
from contextkit.compression.iterating import cut_out, iterate, per_word
from contextkit.compression.scoring import Asked, Scorer, SurprisalScorer
from contextkit.compression.source import begin
from contextkit.compression.spans import Word
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

DOCUMENTS, SENTENCES = 2.0, 1.4
"""How many times the target documents, then sentences, may take (the paper's k; its release's ratio)."""


@dataclass(frozen=True, slots=True)
class LLMLingua:
    """Words that a model did not expect stay. `pin_first` and `pin_last` sentences leave last.

    `coarse` scores documents and sentences, `scorer` the words of those that stay; None: one for both, as
    in the paper. `SurprisalScorer()` there saves a model the reading of all that leaves as a whole.
    """

    kind: ClassVar[str] = "llmlingua"

    scorer: Scorer = field(default_factory=SurprisalScorer)
    on_protected: OnProtected = "error"
    pin_first: int = 0
    pin_last: int = 0
    coarse: Scorer | None = None

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
        source = begin(self.kind, text, target_tokens, count)
        if isinstance(source, Compressed):
            return source
        units, costs = source.units, source.costs
        inside = self._coarse(text, units, costs, target_tokens)
        members = [index for index, stays in enumerate(inside) if stays]
        rate = min(1.0, target_tokens / max(1.0, sum(costs[index] for index in members)))
        scores = iterate(text, units, members, costs, lambda _: rate, self.scorer)
        return Teller(self.kind, self.on_protected, handle).tell(
            text, units, scores, inside, target_tokens, count, self.scorer.kind, source.tokens
        )

    def _coarse(
        self, text: str, units: Sequence[Word], costs: Sequence[float], target: int
    ) -> list[bool]:
        """The budget controller: documents, then sentences, by their mean bits a word."""
        documents = parts(document_bounds(text), units, costs)
        bits = score_parts(text, units, documents, self.coarse or self.scorer)
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
    text: str, units: Sequence[Word], found: Sequence[Part], scorer: Scorer
) -> list[float]:
    """Bits a word of every unit, each part read by itself."""
    if type(scorer) is SurprisalScorer:
        return _by_form(text, units, scorer)
    cut = [cut_out(text, units, range(part.first, part.stop)) for part in found]
    bits: list[float] = []
    asked = [Asked("", own, placed) for own, placed in cut]
    for (own, placed), scored in zip(cut, scorer.score_many(asked), strict=True):
        bits += per_word(own, placed, scored)
    return bits


def _by_form(text: str, units: Sequence[Word], scorer: SurprisalScorer) -> list[float]:
    """Bits a word where what stands before changes nothing: each written unit is scored once."""
    written = [text[start:stop] for start, stop, _ in units]
    distinct = [*dict.fromkeys(written)]
    ends = [*accumulate(map(len, distinct))]
    placed = [Word(end - len(unit), end, False) for unit, end in zip(distinct, ends, strict=True)]
    own = "".join(distinct)
    bits = per_word(own, placed, scorer.score_many([Asked("", own, placed)])[0])
    of = dict(zip(distinct, bits, strict=True))
    return [of[unit] for unit in written]


def _means(found: Sequence[Part], bits: Sequence[float]) -> list[float]:
    return [sum(bits[part.first : part.stop]) / max(1, part.stop - part.first) for part in found]


def _pinned(worths: list[float], first: int, last: int) -> list[float]:
    """The worths, those of the first and last ones above all others."""
    edge = len(worths) - last
    return [inf if i < first or i >= edge else worth for i, worth in enumerate(worths)]
