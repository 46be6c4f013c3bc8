"""SQL in fewer tokens: statements leave whole, rows of VALUES leave from theirs."""

from __future__ import annotations

import re

import numpy as np

from contextkit.compression.structure.arrays import Nest, Quoted, codes_of, flat, marked, table
from contextkit.compression.structure.parts import NotThis, Parts, counted

_QUOTED = re.compile(
    rb"([-/'\"`$](?:(?<=-)-[^\n]*+|(?<=/)\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/|(?<=')[^']*+(?:''[^']*+)*+'"
    rb"|(?<=\")[^\"]*+(?:\"\"[^\"]*+)*+\"|(?<=`)[^`]*+`|(?<=\$)\$.*?\$\$))",
    re.DOTALL,
)
_MARKS = table(b"(),;")
_LINE_END = re.compile(r"[ \t]*(?:--[^\n]*)?\n")
_VALUES = re.compile(r"values\s*(?=\()", re.IGNORECASE)
_BLOCK = re.compile(
    rb"\b(?:begin\b(?!\s*(?:;|transaction|work))|case\b|create\s+(?:\w+\s+)*(?:function|procedure|trigger)\b)"
)
_BLOCK_WORDS = (b"begin", b"case", b"create")


class Sql:
    """Statements are the parts; an insert opens into its rows."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` where parentheses do not match, no statement ends, or one holds others."""
        self._text, self._data = text, flat(text)
        self._nest = _nest(self._data)
        outside = self._nest.outside
        semicolon = codes_of(self._data)[outside] == ord(";")
        self._ends, self._commas = outside[semicolon] + 1, outside[~semicolon]
        if not len(self._ends) or _has_block(self._data.lower()):
            raise NotThis("no statement ends, or statements hold others")

    def top(self) -> Parts:
        """The statements, each with what follows its semicolon on the line."""
        text, starts = self._text, np.append(0, self._ends + 1)
        ends = self._ends[self._ends < len(text)]
        for index in np.flatnonzero(codes_of(self._data)[ends] != ord("\n")).tolist():
            end = int(ends[index])
            line = _LINE_END.match(text, end)
            starts[index + 1] = line.end() if line else end
        if not text[starts[-1] :].strip():
            starts = starts[:-1]
        return Parts.tiled(starts, 0, len(text), what="statements")

    def open(self, start: int, stop: int) -> Parts | None:
        """The rows of an insert."""
        values = _VALUES.search(self._text, start, stop)
        return None if values is None else self._rows(values.end(), stop)

    def _rows(self, head: int, stop: int) -> Parts | None:
        """Rows with the comma between them; what follows the last is the tail."""
        opens, closes = self._nest.outermost()
        low, high = np.searchsorted(opens, (head, stop))
        opens, closes = opens[low:high], closes[low:high]
        if not len(opens) or opens[0] != head:
            return None
        commas = np.append(self._commas, stop)
        commas = commas[np.searchsorted(commas, closes[:-1])]
        goes_on = commas < opens[1:]
        for index in np.flatnonzero(goes_on & (commas > closes[:-1] + 1)).tolist():
            goes_on[index] = not self._text[closes[index] + 1 : commas[index]].strip()
        n = len(opens) if goes_on.all() else int(goes_on.argmin()) + 1
        starts, stops = np.append(head, commas[: n - 1] + 1), closes[:n] + 1
        return Parts(starts, stops, head, int(stops[-1]), joint=",", first=1, what="rows")

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment."""
        said = f"/* … {counted(high - low, parts.what)} left out{where} */"
        return f"\n{said}" if parts.what == "rows" else f"{said}\n"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Statements without rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Raises `NotThis` where parentheses or quotes do not match any more."""
        _nest(flat(told))


def _nest(data: bytes) -> Nest:
    return Nest(data, Quoted.of(data, _QUOTED).outside(marked(data, _MARKS)))


def _has_block(lowered: bytes) -> bool:
    """Whether a statement may hold others; the words are looked for first, for they are rare."""
    for word in _BLOCK_WORDS:
        at = lowered.find(word)
        while at >= 0:
            if _BLOCK.match(lowered, at):
                return True
            at = lowered.find(word, at + 1)
    return False
