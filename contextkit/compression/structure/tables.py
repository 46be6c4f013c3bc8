"""Tables: the header stays, rows leave whole, a stub row has as many columns as the others."""

from __future__ import annotations

import csv
import io

import numpy as np

from contextkit.compression.kinds import RULE
from contextkit.compression.structure.arrays import codes_of, flat, marked, table
from contextkit.compression.structure.parts import NotThis, Parts, Places, bounds_of, counted

_QUOTE, _LINE_END = table(b'"'), ord("\n")


class MarkdownTable:
    """A pipe table: header and rule stay."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` where the second line is no rule."""
        self._text = text
        self._lines = text.splitlines(keepends=True)
        if len(self._lines) < 3 or not RULE.match(self._lines[1]) or "|" not in self._lines[0]:
            raise NotThis("no rule under a header")

    def top(self) -> Parts:
        """One part a row."""
        edges = bounds_of([*map(len, self._lines)])
        return Parts(edges[:-1], edges[1:], 0, len(self._text), first=2, what="rows")

    def open(self, start: int, stop: int) -> Parts | None:
        """A row has no parts."""
        return None

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A row whose first cell says what left."""
        header = self._lines[0].strip()
        n = header.replace(r"\|", "").strip("|").count("|")
        end = "\n" if self._lines[high - 1].endswith("\n") else ""
        return f"| … {counted(high - low, parts.what)} left out{where} |{' |' * n}{end}"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Valid as it is."""


class Delimited:
    """CSV, TSV and their kind; a row may be several lines where a quoted cell is."""

    stub_is_part = False

    def __init__(self, text: str, delimiter: str) -> None:
        """Raises `NotThis` where rows differ in their number of columns."""
        self._text, self._delimiter = text, delimiter
        found = _plain_rows(text, delimiter)
        edges, widths = found if found is not None else _read_rows(text, delimiter)
        if len(edges) < 4 or len(widths) != 1 or widths == {1}:
            raise NotThis("rows of different widths")
        self._edges = edges

    def top(self) -> Parts:
        """One part a row."""
        edges = self._edges
        return Parts(edges[:-1], edges[1:], 0, len(self._text), first=1, what="rows")

    def open(self, start: int, stop: int) -> Parts | None:
        """A row has no parts."""
        return None

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A row whose first cell says what left."""
        header = self._text[slice(*parts.span(0, 1))]
        columns = len(next(csv.reader([header], delimiter=self._delimiter)))
        last = self._text[slice(*parts.span(high - 1, high))]
        end = last[len(last.rstrip("\r\n")) :]
        said = f"… {counted(high - low, parts.what)} left out{where.replace(',', '')}"
        return said + self._delimiter * (columns - 1) + end

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Raises `NotThis` where a stub would stand in a wrong place: rows are counted again."""
        lines = io.StringIO(told, newline="")
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=self._delimiter, strict=True)}
        except csv.Error as error:
            raise NotThis(str(error)) from None
        if len(widths) != 1:
            raise NotThis("rows of different widths")


def _plain_rows(text: str, delimiter: str) -> tuple[Places, set[int]] | None:
    """The edges of rows and how many columns rows have; None where quotes may stand within a cell."""
    data = flat(text)
    codes = np.append(codes_of(data), np.uint8(_LINE_END))
    quotes = marked(data, _QUOTE)
    before, behind = codes[quotes[::2] - 1], codes[quotes[1::2] + 1]
    edge = np.zeros(256, dtype=np.bool_)
    edge[[_LINE_END, ord(delimiter), ord('"')]] = True
    if "\r" in text or len(quotes) % 2 or not (edge[before].all() and edge[behind].all()):
        return None
    ends, cells = (
        places[np.searchsorted(quotes, places) % 2 == 0]
        for places in (marked(data, table(b"\n")), marked(data, table(delimiter.encode())))
    )
    edges = np.append(0, ends + 1)
    if edges[-1] < len(text):
        edges = np.append(edges, len(text))
    widths = np.diff(np.searchsorted(cells, edges)) + 1
    return edges, {int(width) for width in np.unique(widths)}


def _read_rows(text: str, delimiter: str) -> tuple[Places, set[int]]:
    """The same, read cell by cell."""
    lines = text.splitlines(keepends=True) if "\r" in text else io.StringIO(text).readlines()
    edges = bounds_of([*map(len, lines)])
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, len(row)) for row in reader]
    except csv.Error as error:
        raise NotThis(str(error)) from None
    return np.append(0, edges[[end for end, _ in rows]]), {width for _, width in rows}
