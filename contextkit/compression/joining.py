"""Texts put together from some of their units, again and again: what a joint needs is looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from contextkit.compression.spans import Word

Places = npt.NDArray[np.intp]
_LINE_BREAK = ord("\n")
_BLANK = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether a character is a blank; none is beyond the ideographic space."""


class Joints:
    """The units of a text as strings, and what stands between them; the units need not tile it."""

    def __init__(self, text: str, units: Sequence[Word]) -> None:
        self._ends = bool(units) and units[-1].stop == len(text)
        self._pieces: Any = np.empty(len(units), dtype=object)
        self._pieces[:] = [text[start:stop] for start, stop, _ in units]
        places = np.fromiter(chain.from_iterable(units), dtype=np.intp, count=3 * len(units))
        self.starts, self.stops, protected = places.reshape(-1, 3).T.copy()
        self.protected = protected > 0
        codes = np.frombuffer(f"\n{text}".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        blank = _BLANK[np.minimum(codes, len(_BLANK) - 1)]
        self._broken = codes[self.stops] == _LINE_BREAK
        self._blank = blank[self.stops]
        self._behind_blank = blank[self.starts]
        breaks = np.flatnonzero(codes[1:] == _LINE_BREAK)
        self._breaks_before = np.searchsorted(breaks, self.starts)
        self._breaks_through = np.searchsorted(breaks, self.stops)

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
        gap = (self.starts[right] > self.stops[left]) & self._behind_blank[right]
        gap &= ~self._blank[left] & ~line
        for place in map(int, np.flatnonzero(line)):
            made[place] = str(made[place]).rstrip(" \t") + "\n"
        for place in map(int, np.flatnonzero(gap)):
            made[place] += " "
        out = "".join(made)
        whole = self._ends and kept[-1] == len(self._pieces) - 1
        return out if whole else out.rstrip()


def joined(text: str, kept: Sequence[Word]) -> str:
    """The kept units as one text; see `Joints.told`."""
    return Joints(text, kept).told(np.arange(len(kept)))
