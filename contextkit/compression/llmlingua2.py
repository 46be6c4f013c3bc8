"""`llmlingua2`: a classifier says how likely each stretch of words is asked for; the likeliest stay.

After LLMLingua-2 (Pan et al. 2024, arXiv:2403.12968), with stretches in place of single words, one
threshold for the whole text, so that a dense part keeps more, and with the question where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from contextkit.compression.base import Compressed, Count
from contextkit.compression.classifier import ENCODER, WordClassifier, shipped
from contextkit.compression.picking import fill, pick, segments_of
from contextkit.compression.source import begin
from contextkit.compression.telling import OnProtected, Teller
from contextkit.compression.traits import traits
from contextkit.compression.word_states import Encoder
from contextkit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LLMLingua2:
    """Words that answers are made of stay; `weights` names an `.npz` of one's own in place of ours.

    `encoder` reads each word in its context; without one a word is known by its form and place.
    `stub`: what is protected leaves with the clause that it stands in (a sentence with a negation is never
    cut); `error`: it stays wherever it stands.
    """

    kind: ClassVar[str] = "llmlingua2"

    on_protected: OnProtected = "error"
    weights: Path | None = None
    encoder: Encoder | None = None

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
        source = begin(self.kind, text, target_tokens, count, names_whole=False)
        if isinstance(source, Compressed):
            return source
        classifier = self._classifier()
        units = source.units
        known = traits(text, units, question, classifier.reader(self.encoder))
        chances = classifier.chances(known)
        cost = np.array(source.costs)
        protected = np.array([unit.protected for unit in units])
        room = float(target_tokens)
        if self.on_protected == "error":
            room -= float(cost[protected].sum())
            cost[protected] = 0
            protected = np.zeros_like(protected)
        clause = known.uncut
        worth = pick(chances, cost, segments_of(known.layout.sentence), clause, protected, room)
        filled = fill(worth, chances, cost, clause, protected, room)
        return Teller(self.kind, self.on_protected, handle).tell(
            text,
            units,
            filled.scores,
            filled.inside,
            target_tokens,
            count,
            tokens=source.tokens,
        )

    def _classifier(self) -> WordClassifier:
        if self.weights is not None:
            return WordClassifier.load(self.weights)
        if self.encoder is not None and self.encoder.name != ENCODER:
            raise ConfigError(
                f"llmlingua2: the shipped weights were trained with {ENCODER}, not with "
                f"{self.encoder.name}; leave its folder out, or give weights of your own"
            )
        return shipped(encoded=self.encoder is not None)
