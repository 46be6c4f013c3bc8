"""SQL in fewer tokens: statements leave whole, rows of VALUES leave from theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from contextkit.compression.structure.eliding import NotThis, Parts, counted

_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$\$.*?\$\$|[();,]", re.DOTALL
)
_COMMA = re.compile(r"\s*,")
_LINE_END = re.compile(r"[ \t]*(?:--[^\n]*)?\n")
_VALUES = re.compile(r"\bvalues\s*(?=\()", re.IGNORECASE)
_BLOCK = re.compile(
    r"\b(?:begin\b(?!\s*(?:;|transaction|work))|case\b|create\s+(?:\w+\s+)*(?:function|procedure|trigger)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sql:
    """Statements are the parts; an insert opens into its rows."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` where parentheses do not match or no statement ends."""
        if start == 0 and stop == len(text):
            return _statements(text)
        values = _VALUES.search(text, start, stop)
        return None if values is None else _rows(text, values.end(), stop)

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment."""
        blanks = "\n" if parts.what == "rows" else ""
        end = "" if parts.what == "rows" else "\n"
        return f"{blanks}/* … {counted(high - low, parts.what)} left out{where} */{end}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Statements without rows stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Raises `NotThis` where parentheses or quotes do not match any more."""
        for _ in _tokens(told):
            pass
        return told


def _tokens(text: str, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Commas, semicolons and closing parentheses outside quotes: what, the depth behind it, where."""
    depth = 0
    for match in _TOKEN.finditer(text, start, len(text) if stop is None else stop):
        char = match.group()
        if len(char) > 1:
            continue
        depth += (char == "(") - (char == ")")
        if depth < 0:
            raise NotThis(f"parentheses do not match at {match.start()}")
        yield char, depth, match.start()
    if depth:
        raise NotThis("a parenthesis is open")


def _statements(text: str) -> Parts:
    ends = [at + 1 for char, depth, at in _tokens(text) if char == ";" and depth == 0]
    if not ends or _BLOCK.search(text):
        raise NotThis("no statement ends, or statements hold others")
    starts = [0]
    for end in ends:
        line = _LINE_END.match(text, end)
        starts.append(line.end() if line else end)
    if not text[starts[-1] :].strip():
        starts.pop()
    return Parts(starts, [*starts[1:], len(text)], 0, len(text), what="statements")


def _rows(text: str, head: int, stop: int) -> Parts | None:
    """Rows with the comma between them; what follows the last is the tail."""
    starts, stops = [head], list[int]()
    closed = head
    try:
        for char, depth, at in _tokens(text, head, stop):
            if depth:
                continue
            if char == ")" and len(stops) < len(starts):
                closed = at + 1
                stops.append(closed)
                if not _COMMA.match(text, closed, stop):
                    break
            elif char == "," and len(stops) == len(starts):
                starts.append(at + 1)
    except NotThis:
        return None
    starts = starts[: len(stops)]
    return Parts(starts, stops, head, closed, joint=",", first=1, what="rows") if starts else None
