"""Where brackets, quotes and lines of a text stand, found in a few passes over all of it at once.

A text of a megabyte is looked at as bytes, one a character, so that a regular expression over what is
quoted and a few array operations find what a loop over its tokens would; only what is opened is walked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from contextkit.compression.structure.parts import NotThis, Places

Codes: TypeAlias = npt.NDArray[np.uint8]
_OPENS, _CLOSES = b"([{", b")]}"
_DEEPEST = 32_000
_STEP = np.zeros(256, dtype=np.int8)
_STEP[[*_OPENS]], _STEP[[*_CLOSES]] = 1, -1
_PARTNER = np.zeros(256, dtype=np.uint8)
_PARTNER[[*_OPENS]] = [*_CLOSES]
_BLANKS = b" \t\r\f\v"


def flat(text: str) -> bytes:
    """One byte a character: places are those of the text; what is not Latin-1 is a `?`."""
    return text.encode("latin-1", "replace")


def table(characters: bytes) -> bytes:
    """Marks these characters, for `marked`."""
    return bytes(code in characters for code in range(256))


def marked(data: bytes, wanted: bytes) -> Places:
    """Places of the characters of a `table`."""
    return np.flatnonzero(np.frombuffer(data.translate(wanted), dtype=np.bool_))


def codes_of(data: bytes) -> Codes:
    """The characters as numbers."""
    return np.frombuffer(data, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What is quoted or commented out: sorted stretches, none meeting another."""

    starts: Places
    stops: Places

    @classmethod
    def of(cls, data: bytes, pattern: re.Pattern[bytes]) -> Quoted:
        """Every match of a pattern that has one group, around all of it."""
        edges = np.cumsum(np.fromiter(map(len, pattern.split(data)), dtype=np.intp))
        return cls(edges[:-1:2], edges[1::2])

    def holds(self, places: Places) -> npt.NDArray[np.bool_]:
        """Whether each place is inside, the first character of a stretch among it."""
        if not len(self.starts):
            return np.zeros(len(places), dtype=np.bool_)
        behind = np.searchsorted(self.starts, places, side="right") - 1
        return (behind >= 0) & (places < self.stops[behind])

    def outside(self, places: Places) -> Places:
        """The places that are not inside."""
        return places[~self.holds(places)]


class Nest:
    """Brackets, and which other marks stand directly inside each."""

    def __init__(self, data: bytes, places: Places) -> None:
        """Of the marks at these places, in order. Raises `NotThis` where brackets do not match."""
        codes = codes_of(data)[places]
        step = _STEP[codes]
        depth = np.cumsum(step, dtype=np.int32)
        if len(depth) and (depth.min() < 0 or depth[-1] or depth.max() > _DEEPEST):
            raise NotThis("brackets do not match")
        self._places = places
        level: npt.NDArray[np.int16] = (depth + (step < 0)).astype(np.int16)
        self._level = level
        # By level, then place: behind each opening bracket its own marks, then the one that closes it.
        order = np.argsort(level, kind="stable")
        self._in_order = places[order]
        self._rank = np.empty(len(order), dtype=np.intp)
        self._rank[order] = np.arange(len(order))
        self._brackets = np.flatnonzero(step[order])
        kinds = codes[order[self._brackets]]
        if (_PARTNER[kinds[::2]] != kinds[1::2]).any():
            raise NotThis("brackets do not match")
        self._n_outside = int(np.count_nonzero(level == 0))

    @property
    def outside(self) -> Places:
        """The marks outside all brackets."""
        return self._in_order[: self._n_outside]

    def inside(self, opening: int) -> tuple[Places, int]:
        """The marks directly inside the bracket that opens there, and where it closes."""
        rank = int(self._rank[np.searchsorted(self._places, opening)])
        closing = int(self._brackets[np.searchsorted(self._brackets, rank) + 1])
        return self._in_order[rank + 1 : closing], int(self._in_order[closing])

    def outermost(self) -> tuple[Places, Places]:
        """Where the brackets that are in no other open and close."""
        n = int(np.count_nonzero(self._level == 1))
        found = self._in_order[self._brackets[self._brackets < self._n_outside + n]]
        return found[::2], found[1::2]

    def bodies(self) -> tuple[Places, Places]:
        """Where brackets that hold marks directly open and close, by where they open."""
        first, last = self._brackets[::2], self._brackets[1::2]
        holding = last - first > 1
        starts, stops = self._in_order[first[holding]], self._in_order[last[holding]]
        order = np.argsort(starts)
        return starts[order], stops[order]


class Depth:
    """How many brackets are open at a place; none at all where brackets do not match."""

    def __init__(self, data: bytes, brackets: Places) -> None:
        depth = np.cumsum(_STEP[codes_of(data)[brackets]], dtype=np.int32)
        matched = len(depth) > 0 and depth.min() >= 0 and not depth[-1]
        self._brackets = brackets if matched else brackets[:0]
        self._depth = np.append(np.int32(0), depth if matched else depth[:0])

    def at(self, places: Places) -> npt.NDArray[np.int32]:
        """Before the characters at these places."""
        return self._depth[np.searchsorted(self._brackets, places)]


@dataclass(frozen=True, slots=True)
class Margin:
    """Lines that say something: where they begin, how far they are indented, what they begin with."""

    starts: Places
    indents: Places
    firsts: Codes

    @classmethod
    def of(cls, data: bytes) -> Margin:
        """Lines end at line feeds; blank ones are none."""
        begins = np.concatenate([np.zeros(1, dtype=np.intp), marked(data, _LINE_END) + 1])
        solid = marked(data, _SOLID)
        found = np.searchsorted(solid, begins)
        begins, found = begins[found < len(solid)], found[found < len(solid)]
        first = solid[found]
        codes = codes_of(data)[first]
        says = codes != ord("\n")
        return cls(begins[says], (first - begins)[says], codes[says])

    def only(self, wanted: npt.NDArray[np.bool_]) -> Margin:
        """Some of the lines."""
        return Margin(self.starts[wanted], self.indents[wanted], self.firsts[wanted])

    def between(self, start: int, stop: int) -> Margin:
        """The lines that begin in `start <= at < stop`."""
        low, high = np.searchsorted(self.starts, (start, stop))
        return Margin(self.starts[low:high], self.indents[low:high], self.firsts[low:high])


_LINE_END = table(b"\n")
_SOLID = bytes(code not in _BLANKS for code in range(256))
SOLID = bytes(code not in _BLANKS + b"\n" for code in range(256))
"""What is no blank and no line feed."""
