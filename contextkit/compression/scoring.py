"""The contract of scorers: how many bits each word says behind what was read before.

Found by `kind` (entry points `contextkit.scorers`): `surprisal` needs no model, `local` asks one in this
process. A `Reading` is a text that grows; a word is scored behind it and only then, or never, becomes part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2
from types import TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict

from contextkit.compression.vocabulary import entry, stem_of

CACHE_SHARE = 0.4
"""How far a word is expected to be one of those read before, the rest by its frequency in general."""
UNREAD = -log2(1 - CACHE_SHARE)
"""Bits that a word says more for not being one of those read before."""


class Reading(Protocol):
    """What a scorer has read so far. A context manager: a model's holds memory."""

    def close(self) -> None:
        """Lets go of what is held."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Asked:
    """A text whose units are scored behind a `context`, and behind all that `reading` has read.

    The units tile the text and end at `ends`. The context becomes part of the reading, the text does not. A
    reading stands in one question at a time.
    """

    context: str
    text: str
    ends: Sequence[int]
    reading: Reading | None = None


class Scorer(Protocol):
    """Tells how many bits words say. Implementations are frozen: their fields are their configuration."""

    kind: ClassVar[str]

    @property
    def at_once(self) -> int:
        """How many texts are worth asking about side by side."""
        ...

    def open(self) -> Reading:
        """A reading of nothing so far, of this scorer alone."""
        ...

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Bits of the units of several texts, each behind its own context and the units before it."""
        ...


@runtime_checkable
class Begins(Protocol):
    """A scorer that works on what it was asked while its caller does something else."""

    @property
    def enough(self) -> int:
        """Characters that are asked about without waiting for more."""
        ...

    def begin(self, asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        """Asks, as `score_many` does; what is returned waits for the answers."""
        ...


class SurprisalScorer(BaseModel):
    """Frequencies from a shipped table, mixed with those of what was read: a unigram cache model.

    Kuhn and De Mori 1990, "A cache-based natural language model"; as the likelihood of a question given a
    document it is Jelinek-Mercer smoothing (Zhai and Lafferty 2001).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "surprisal"

    @property
    def at_once(self) -> int:
        """One: a table is no faster for many."""
        return 1

    def open(self) -> TableReading:
        """A reading of nothing so far."""
        return TableReading()

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Bits of the units of several texts, each behind its own context and reading."""
        found: list[list[float]] = []
        for each in asked:
            reading = each.reading or TableReading()
            if not isinstance(reading, TableReading):
                raise TypeError(f"{type(reading).__name__} is a reading of another scorer")
            reading.read(each.context)
            found.append(reading.score(each.text, each.ends))
        return found


class TableReading(Reading):
    """Counts of the stems that were read."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._n = 0

    def score(self, text: str, ends: Sequence[int]) -> list[float]:
        """Bits of each unit; a unit of several words says what its words say together."""
        n, counts = self._n, self._counts
        found: list[float] = []
        for start, stop in pairwise((0, *ends)):
            bits = 0.0
            for word in text[start:stop].split():
                root, likelihood, alone = entry(word)
                if n and root in counts:
                    bits -= log2(CACHE_SHARE * counts[root] / n + (1 - CACHE_SHARE) * likelihood)
                else:
                    bits += alone + UNREAD if n and root else alone
            found.append(bits)
        return found

    def read(self, text: str) -> None:
        """Counts the words of the text."""
        found = [stem_of(word) for word in text.split()]
        self._counts.update(found)
        self._n += len(found)

    def close(self) -> None:
        """Nothing is held."""
