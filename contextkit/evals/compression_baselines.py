"""What compression has to beat: words dropped by chance, by a stop list, by TF-IDF; the text cut off."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

from contextkit.compression.base import Compressed, Count
from contextkit.compression.fill import keep_to_target
from contextkit.compression.spans import Word, words
from contextkit.compression.vocabulary import FUNCTION, bits, spoken

Scores: TypeAlias = Callable[[str, Sequence[Word]], list[float]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Keeps the words of the highest scores; nothing is protected, no question is heard."""

    kind: str
    scores: Scores

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens."""
        tokens = count(text)
        if tokens <= target_tokens:
            return Compressed(text, tokens, target_tokens, tokens, self.kind, "fits")
        units = [Word(unit.start, unit.stop, False) for unit in words(text)]
        told = keep_to_target(text, units, self.scores(text, units), target_tokens, count)
        return Compressed(told, tokens, target_tokens, count(told), self.kind)


def _random(text: str, units: Sequence[Word]) -> list[float]:
    draw = random.Random(crc32(text.encode("utf-8", "surrogatepass")))
    return [draw.random() for _ in units]


def _stop_words(text: str, units: Sequence[Word]) -> list[float]:
    """Stop words leave first, then words from the end."""
    n = len(units)
    return [
        n - place - 2 * n * (spoken(text[unit.start : unit.stop]) in FUNCTION)
        for place, unit in enumerate(units)
    ]


def _tf_idf(text: str, units: Sequence[Word]) -> list[float]:
    said = [spoken(text[unit.start : unit.stop]) for unit in units]
    counts = Counter(said)
    return [counts[word] * bits(word) if word and word not in FUNCTION else 0.0 for word in said]


def _truncate(text: str, units: Sequence[Word]) -> list[float]:
    return [float(-place) for place in range(len(units))]


BASELINES = (
    Baseline("random", _random),
    Baseline("stop words", _stop_words),
    Baseline("tf-idf", _tf_idf),
    Baseline("truncate", _truncate),
)
