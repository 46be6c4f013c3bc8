"""Tables: the header stays, rows leave whole, a stub row has as many columns as the others."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import accumulate

from contextkit.compression.kinds import RULE
from contextkit.compression.structure.eliding import NotThis, Parts, counted


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """A pipe table: header and rule stay."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """One part a row. Raises `NotThis` where the second line is no rule."""
        if start or stop != len(text):
            return None
        lines = text.splitlines(keepends=True)
        if len(lines) < 3 or not RULE.match(lines[1]) or "|" not in lines[0]:
            raise NotThis("no rule under a header")
        bounds = [*accumulate(map(len, lines), initial=start)]
        return Parts(bounds[:-1], bounds[1:], start, stop, first=2, what="rows")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A row whose first cell says what left."""
        header = text[parts.starts[0] : parts.stops[0]].strip()
        n = header.replace(r"\|", "").strip("|").count("|")
        end = "\n" if text[parts.stops[high - 1] - 1] == "\n" else ""
        return f"| … {counted(high - low, parts.what)} left out{where} |{' |' * n}{end}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Valid as it is."""
        return told


@dataclass(frozen=True, slots=True)
class Delimited:
    """CSV, TSV and their kind; a row may be several lines where a quoted cell is."""

    delimiter: str
    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """One part a row. Raises `NotThis` where rows differ in their number of columns."""
        if start or stop != len(text):
            return None
        lines = text.splitlines(keepends=True) if "\r" in text else io.StringIO(text).readlines()
        bounds = [*accumulate(map(len, lines), initial=0)]
        if '"' in text:
            ends, widths = _rows(lines, self.delimiter)
            bounds = [0, *(bounds[end] for end in ends)]
        else:
            widths = {line.count(self.delimiter) + 1 for line in lines}
        if len(bounds) < 4 or len(widths) != 1 or widths == {1}:
            raise NotThis("rows of different widths")
        return Parts(bounds[:-1], bounds[1:], 0, stop, first=1, what="rows")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A row whose first cell says what left."""
        header = next(csv.reader([text[: parts.stops[0]]], delimiter=self.delimiter))
        last = text[parts.starts[high - 1] : parts.stops[high - 1]]
        end = last[len(last.rstrip("\r\n")) :]
        said = f"… {counted(high - low, parts.what)} left out{where.replace(',', '')}"
        return said + self.delimiter * (len(header) - 1) + end

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Raises `NotThis` where a stub would stand in a wrong place: rows are counted again."""
        lines = io.StringIO(told, newline="")
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=self.delimiter, strict=True)}
        except csv.Error as error:
            raise NotThis(str(error)) from None
        if len(widths) != 1:
            raise NotThis("rows of different widths")
        return told


def _rows(lines: list[str], delimiter: str) -> tuple[list[int], set[int]]:
    """Behind which line each row ends, and how many columns rows have."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    ends: list[int] = []
    widths: set[int] = set()
    try:
        for row in reader:
            ends.append(reader.line_num)
            widths.add(len(row))
    except csv.Error as error:
        raise NotThis(str(error)) from None
    return ends, widths
