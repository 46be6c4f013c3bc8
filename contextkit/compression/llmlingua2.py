"""`llmlingua2`: a classifier says how likely each stretch of words is asked for; the likeliest stay.

After LLMLingua-2 (Pan et al. 2024, arXiv:2403.12968), with stretches in place of single words, one
threshold for the whole text, so that a dense part keeps more, and with the question where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from contextkit.compression.base import Compressed, Count
from contextkit.compression.classifier import WordClassifier, chances_of, shipped
from contextkit.compression.costs import piece_costs
from contextkit.compression.forms import Rows
from contextkit.compression.picking import fill, pick, segments_of
from contextkit.compression.source import begin
from contextkit.compression.telling import OnProtected, Teller
from contextkit.compression.traits import Traits, traits
from contextkit.compression.units import Units
from contextkit.compression.word_reader import ENCODER, Encoder, WordReader, shipped_reader
from contextkit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LLMLingua2:
    """Words that answers are made of stay; `weights` names an `.npz` of one's own in place of ours.

    `encoder` reads the question with the text; without one a word is known by its form and place.
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
        units = source.units
        known = traits(text, units, question if self.encoder is None else "")
        chances = self._chances(text, units, known, question)
        cost = piece_costs(known.forms, source.tokens)
        protected = units.protected.copy()
        room = float(target_tokens)
        if self.on_protected == "error":
            room -= float(cost[protected].sum())
            cost[protected] = 0
            protected[:] = False
        clause = known.uncut
        segment, spoken = segments_of(known.layout.sentence), known.forms.spoken()
        worth = pick(chances, cost, segment, clause, protected, spoken, room)
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

    def _chances(self, text: str, units: Units, known: Traits, question: str) -> Rows:
        """Of every stretch, by the classifier or, with an encoder, by the reader."""
        if self.encoder is None:
            own = self.weights
            by = shipped() if own is None else _classifier(own, *_version(own))
            return by.chances(known)
        if self.weights is not None:
            reader = _reader(self.weights, *_version(self.weights))
        elif self.encoder.name == ENCODER:
            reader = shipped_reader()
        else:
            raise ConfigError(
                f"llmlingua2: the shipped weights were trained with {ENCODER}, not with "
                f"{self.encoder.name}; leave its folder out, or give weights of your own"
            )
        marks = reader.marks(self.encoder, text, units, question)
        return chances_of(marks, reader.lengths, known.layout.sentence)


def _version(path: Path) -> tuple[int, int]:
    """When a file was written, and its bytes: weights are loaded once for as long as they stay the same."""
    told = path.stat() if path.is_file() else None
    return (told.st_mtime_ns, told.st_size) if told else (0, 0)


@lru_cache(maxsize=4)
def _classifier(path: Path, _written: int, _n_bytes: int) -> WordClassifier:
    return WordClassifier.load(path)


@lru_cache(maxsize=4)
def _reader(path: Path, _written: int, _n_bytes: int) -> WordReader:
    return WordReader.load(path)
