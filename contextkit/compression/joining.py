"""Texts put together from some of their units, again and again: what a joint needs is looked up once.

A comma, a semicolon or a colon leaves with the words that it led to: where they were dropped it tells
nothing, and it is a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from contextkit.compression.spans import Word, protected
from contextkit.compression.units import LINE_BREAK, Flags, Places, Units, characters

_PAUSES = [ord(mark) for mark in ",;:"]


class Joints:
    """The units of a text as strings, and what stands between them; the units need not tile it."""

    def __init__(self, text: str, words: Sequence[Word]) -> None:
        self.units = units = Units.of(words)
        self._length = len(text)
        self._ends = len(units) > 0 and int(units.stops[-1]) == len(text)
        self._pieces: Any = np.empty(len(units), dtype=object)
        self._pieces[:] = units.written(text)
        codes, blank = characters(text)
        self._broken = codes[units.stops] == LINE_BREAK
        self._blank = blank[units.stops]
        last = codes[units.stops - 1]
        paused = np.logical_or.reduce([last == mark for mark in _PAUSES])
        self._pauses = paused & self._blank & ~self._broken
        self._behind_blank = blank[units.starts]
        breaks = np.flatnonzero(codes[1:] == LINE_BREAK)
        self._breaks_before = np.searchsorted(breaks, units.starts)
        self._breaks_through = np.searchsorted(breaks, units.stops)

    def told(self, kept: Places) -> str:
        """The units at these places, ascending, each with its own blanks.

        Where one was dropped at a line's end, the line break stays.
        """
        if not len(kept):
            return ""
        made: list[str] = self._pieces[kept].tolist()
        left, right = kept[:-1], kept[1:]
        line = self._breaks_before[right] > self._breaks_through[left]
        line &= ~self._broken[left]
        gap = (self.units.starts[right] > self.units.stops[left]) & self._behind_blank[right]
        gap &= ~self._blank[left] & ~line
        for place in map(int, np.flatnonzero(self._leads_on(kept))):
            made[place] = _without_pause(str(made[place]))
        for place in map(int, np.flatnonzero(line)):
            made[place] = str(made[place]).rstrip(" \t") + "\n"
        for place in map(int, np.flatnonzero(gap)):
            made[place] += " "
        out = "".join(made)
        whole = self._ends and kept[-1] == len(self._pieces) - 1
        return out if whole else out.rstrip()

    def _leads_on(self, kept: Places) -> Flags:
        """Which of the kept units end with a pause before something that was dropped."""
        follows = np.append(self.units.starts[kept[1:]], self._length)
        found: Flags = self._pauses[kept] & (follows != self.units.stops[kept])
        return found


@lru_cache(maxsize=32_768)
def _without_pause(piece: str) -> str:
    """A unit less the mark before its blank; a mark of a protected span stays, one after a negation too."""
    last = protected(piece)[-1:]
    kept = any(span.stop > len(piece) - 2 or span.kind == "negation" for span in last)
    if kept:
        return piece
    return piece[:-2] + piece[-1] if len(piece) > 2 else ""


def joined(text: str, kept: Sequence[Word]) -> str:
    """The kept units as one text; see `Joints.told`."""
    return Joints(text, kept).told(np.arange(len(kept)))
