"""The units of a text in three columns, so that many of them are worked on in one pass.

To whoever reads them one by one they are words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import overload

import numpy as np
import numpy.typing as npt

from contextkit.compression.spans import Word, in_words, tiles

Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
LINE_BREAK = ord("\n")
_BLANK = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether a character is a blank; none is beyond the ideographic space."""


@dataclass(frozen=True, eq=False)
class Units(Sequence[Word]):
    """Where each unit starts and stops, and whether it has to stay."""

    starts: Places
    stops: Places
    protected: Flags

    @classmethod
    def of(cls, words: Sequence[Word]) -> Units:
        """The words as columns."""
        if isinstance(words, Units):
            return words
        places = np.fromiter(chain.from_iterable(words), dtype=np.intp, count=3 * len(words))
        starts, stops, protected = places.reshape(-1, 3).T.copy()
        return cls(starts, stops, protected > 0)

    @cached_property
    def _words(self) -> list[Word]:
        columns = self.starts, self.stops, self.protected
        return [*in_words(*(column.tolist() for column in columns))]

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> Word: ...
    @overload
    def __getitem__(self, at: slice) -> list[Word]: ...
    def __getitem__(self, at: int | slice) -> Word | list[Word]:
        return self._words[at]

    def __iter__(self) -> Iterator[Word]:
        return iter(self._words)

    def take(self, chosen: Places | Flags | slice) -> Units:
        """Those that are chosen."""
        return Units(self.starts[chosen], self.stops[chosen], self.protected[chosen])

    def written(self, text: str) -> list[str]:
        """Each unit as it stands in the text, its blanks with it."""
        ends = zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        return [text[start:stop] for start, stop in ends]

    def n_words(self, text: str) -> Places:
        """How many words each unit has between its blanks, one at least."""
        blank = characters(text)[1]
        begins = np.concatenate([[0], np.cumsum(~blank[1:] & blank[:-1])])
        within = ~blank[self.starts] & ~blank[self.starts + 1]
        found: Places = np.maximum(begins[self.stops] - begins[self.starts] + within, 1)
        return found

    def merged(self, runs: Iterable[tuple[int, int]]) -> Units:
        """The units with those from `first` to `last` of each run as one, which is protected if one is."""
        left = np.ones(len(self.starts), dtype=bool)
        for first, last in runs:
            if last > first:
                left[first + 1 : last + 1] = False
        firsts = np.flatnonzero(left)
        protected = np.logical_or.reduceat(self.protected, firsts) if len(firsts) else left
        return Units(self.starts[firsts], self.stops[np.roll(left, -1)], protected)


def characters(text: str) -> tuple[npt.NDArray[np.uint32], Flags]:
    """The characters of a text behind a line break that stands before it, and which are blanks."""
    codes = np.frombuffer(f"\n{text}".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return codes, _BLANK[np.minimum(codes, len(_BLANK) - 1)]


def units_of(text: str) -> Units:
    """The text in words, as `spans.words` tells them."""
    edges, runs = tiles(text)
    places = np.array(edges, dtype=np.intp)
    kept = np.zeros(len(edges) - 1, dtype=bool)
    kept[[first for first, _ in runs]] = True
    return Units(places[:-1], places[1:], kept).merged(runs)
