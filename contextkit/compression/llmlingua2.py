"""`llmlingua2`: a word classifier says what to keep, one threshold over the whole text.

After LLMLingua-2 (Pan et al. 2024, arXiv:2403.12968), with one quantile for all chunks, so that a dense
chunk keeps more, and with the question where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import ClassVar

from contextkit.compression.base import Compressed, Count
from contextkit.compression.classifier import WordClassifier, shipped
from contextkit.compression.phrases import phrases
from contextkit.compression.spans import Word, words
from contextkit.compression.telling import (
    PROTECTED_SHARE,
    OnProtected,
    Part,
    Teller,
    choose,
    costs_of,
    parts,
    sentence_bounds,
    stay,
)

COARSE = 3.0
"""Sentences are chosen up to this many times the target; words leave from there."""


@dataclass(frozen=True, slots=True)
class LLMLingua2:
    """Words that answers are made of stay; `weights` names an `.npz` of one's own in place of ours."""

    kind: ClassVar[str] = "llmlingua2"

    on_protected: OnProtected = "error"
    weights: Path | None = None

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens. Raises `ProtectedMass`, `ConfigError`."""
        tokens = count(text)
        if tokens <= target_tokens:
            return Compressed(text, tokens, target_tokens, tokens, self.kind, "fits")
        classifier = shipped() if self.weights is None else WordClassifier.load(self.weights)
        single = words(text)
        units = phrases(text, single)
        scores = of_phrases(single, units, classifier.scores(text, single, question))
        costs = costs_of(units, text, tokens)
        sentences = parts(sentence_bounds(text), units, costs)
        chosen = choose(
            sentences,
            worths(sentences, scores),
            COARSE * target_tokens,
            PROTECTED_SHARE * target_tokens,
        )
        return Teller(self.kind, self.on_protected, handle).tell(
            text, units, scores, stay(sentences, chosen, len(units)), target_tokens, count
        )


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
