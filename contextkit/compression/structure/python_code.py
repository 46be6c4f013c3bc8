"""Python in fewer tokens: signatures stay, bodies leave; what is told still parses.

Statements are found by indentation, which is many times faster than a parser; the told text, which is
small, is parsed, and where that fails the source is not taken for Python.
"""

from __future__ import annotations

import ast
import re
import warnings

import numpy as np
import numpy.typing as npt

from contextkit.compression.structure.arrays import (
    Depth,
    Margin,
    Quoted,
    codes_of,
    flat,
    marked,
    table,
)
from contextkit.compression.structure.parts import NotThis, Parts, Places, counted

_QUOTED = re.compile(
    rb"([\"'#](?:(?<=#)[^\n]*+|(?<=\")(?:\"\"(?:[^\"\\]++|\\.|\"(?!\"\"))*+\"\"\"|(?:[^\"\\\n]++|\\.)*+\")"
    rb"|(?<=')(?:''(?:[^'\\]++|\\.|'(?!''))*+'''|(?:[^'\\\n]++|\\.)*+')))",
    re.DOTALL,
)
_BRACKETS, _LINE_END = table(b"()[]{}"), table(b"\n")
_GOES_ON = re.compile(rb"(?:else|elif|except|finally)\b|[)\]}]")
_LETTERS = [*b"ef"]
_MAY_GO_ON = codes_of(table(b"ef)]}")).astype(np.bool_)
"""What a line may begin with that goes on with the one before, by `_GOES_ON`."""
_HEADER_END = re.compile(r":[ \t]*(?:#[^\n]*)?\n(?=(?:[ \t]*(?:#[^\n]*)?\n)*([ \t]+))")
_CODE_LINE = re.compile(r"(?:\s*(?:#[^\n]*)?\n)*([ \t]*)\S")


class Python:
    """Statements are the parts; a compound statement opens into its body."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        self._text, self._data = text, flat(text)
        self._quoted = Quoted.of(self._data, _QUOTED)
        brackets = self._quoted.outside(marked(self._data, _BRACKETS))
        self._depth = Depth(self._data, brackets)
        margin = Margin.of(self._data)
        self._line_ends = marked(self._data, _LINE_END)
        continued = codes_of(self._data)[margin.starts - 2] == ord("\\")
        continued[:1] = False
        self._lines = margin.only(~(continued | self._is_inside(margin.starts - 1)))

    def _is_inside(self, places: Places) -> npt.NDArray[np.bool_]:
        """Whether each place is in a string, a comment or brackets."""
        return self._quoted.holds(places) | (self._depth.at(places) > 0)

    def top(self) -> Parts:
        """The statements of the module."""
        parts = self._suite(0, len(self._text))
        if parts is None:
            raise NotThis("no statement")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """Statements of a suite. None for a simple statement."""
        header = _HEADER_END.search(self._text, start, stop)
        while header and self._is_inside(np.array([header.start()]))[0]:
            header = _HEADER_END.search(self._text, header.end(), stop)
        if header is None:
            return None
        return self._suite(header.end(), stop)

    def _suite(self, head: int, stop: int) -> Parts | None:
        """The statements of `text[head:stop]`; what follows at a lower indentation is the tail."""
        lines = self._lines.between(head, stop)
        code = np.flatnonzero(lines.firsts != ord("#"))
        if not len(code):
            return None
        level = int(lines.indents[code[0]])
        lines = lines.only(lines.indents <= level)
        code = np.flatnonzero(lines.firsts != ord("#"))
        begins = lines.starts[np.append(0, code[:-1] + 1)]  # with the comments above
        at, indents, firsts = lines.starts[code], lines.indents[code], lines.firsts[code]
        goes_on = _MAY_GO_ON[firsts]
        left = np.flatnonzero((indents < level) & ~(goes_on & ~np.isin(firsts, _LETTERS)))
        n, tail = (int(left[0]), int(begins[left[0]])) if len(left) else (len(code), stop)
        own = np.flatnonzero(indents[:n] == level)
        for index in own[goes_on[own]].tolist():
            goes_on[index] = _GOES_ON.match(self._data, int(at[index]) + level) is not None
        decorated = np.append(False, firsts[own][:-1] == ord("@"))
        starts = begins[own[~goes_on[own] & ~decorated]]
        if not len(starts):
            return None
        return Parts.tiled(starts, head, tail, skeleton=True, what="lines")

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment; in a body that would be empty, an ellipsis before it."""
        start, stop = parts.span(low, high)
        first, last = np.searchsorted(self._line_ends, (start, stop))
        n = max(1, int(last - first))
        line = _CODE_LINE.match(self._text, start, stop)
        indent = line[1] if line else ""
        return f"{indent}{'...  ' if alone else ''}# … {counted(n, parts.what)} left out{where}\n"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Simple statements stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Parsed; raises `NotThis` where it does not."""
        if not parses(told):
            raise NotThis("what is told does not parse")


def parses(text: str) -> bool:
    """Whether a text is Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the source: invalid escapes, `is` with a literal
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
