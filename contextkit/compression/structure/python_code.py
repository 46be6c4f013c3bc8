"""Python in fewer tokens: signatures stay, bodies leave; what is told still parses.

Statements are found by indentation, which is many times faster than a parser; the told text, which is
small, is parsed, and where that fails the source is not taken for Python.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from functools import cache

from contextkit.compression.structure.eliding import NotThis, Parts, counted

_QUOTED = re.compile(
    r"\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|\"(?:[^\"\\\n]++|\\.)*+\"|'(?:[^'\\\n]++|\\.)*+'|#[^\n]*+",
    re.DOTALL,
)
_CODE = re.compile(r"^[ \t]*[^\s#]", re.MULTILINE)
_GOES_ON = re.compile(r"(?:else|elif|except|finally)\b|[)\]}]")
_HEADER_END = re.compile(r":[ \t]*(?:#[^\n]*)?\n(?=(?:[ \t]*(?:#[^\n]*)?\n)*([ \t]+))")


@dataclass(frozen=True)
class Python:
    """Statements are the parts; a compound statement opens into its body."""

    stub_is_part: bool = False
    _inside: dict[int, set[int]] = field(default_factory=dict[int, set[int]])

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Statements of a suite. None for a simple statement."""
        if start == 0 and stop == len(text):
            self._inside[0] = _within_strings(text)
            return self._suite(text, 0, 0, stop)
        header = _HEADER_END.search(text, start, stop)
        while header and _depth(text[start : header.start()]) != 0:
            header = _HEADER_END.search(text, header.end(), stop)
        if header is None or header.end() in self._inside[0]:
            return None
        return self._suite(text, start, header.end(), stop)

    def _suite(self, text: str, start: int, head: int, stop: int) -> Parts | None:
        """The statements of `text[head:stop]`; what follows at a lower indentation is the tail."""
        inside = self._inside[0]
        first = next((m for m in _CODE.finditer(text, head, stop) if m.start() not in inside), None)
        if first is None:
            return None
        level = first.end() - first.start() - 1
        starts: list[int] = []
        pending: int | None = None
        tail, decorated = stop, False
        for match in _at_most(level).finditer(text, head, stop):
            at, indent = match.start(), match.end() - match.start() - 1
            char = text[match.end() - 1]
            if at in inside:
                continue
            if char == "#":
                pending = at if pending is None else pending
                continue
            if indent < level and char not in ")]}":
                tail = at if pending is None else pending
                break
            if indent == level and not decorated and not _GOES_ON.match(text, match.end() - 1):
                starts.append(at if pending is None else pending)
            if indent == level:
                decorated = char == "@"
            pending = None
        if not starts:
            return None
        starts[0] = head
        return Parts(starts, [*starts[1:], tail], head, tail, skeleton=True, what="lines")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment; in a body that would be empty, an ellipsis before it."""
        gone = text[parts.starts[low] : parts.stops[high - 1]]
        n = max(1, gone.count("\n"))
        code = next((x for x in gone.splitlines() if x.strip() and x.lstrip()[0] != "#"), "")
        indent = code[: len(code) - len(code.lstrip())]
        return f"{indent}{'...  ' if alone else ''}# … {counted(n, parts.what)} left out{where}\n"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Simple statements stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Parsed; raises `NotThis` where it does not."""
        if not parses(told):
            raise NotThis("what is told does not parse")
        return told


@cache
def _at_most(level: int) -> re.Pattern[str]:
    """Lines indented by `level` or less that are not blank, up to their first letter."""
    return re.compile(rf"^[ \t]{{0,{level}}}[^\s]", re.MULTILINE)


def parses(text: str) -> bool:
    """Whether a text is Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the source: invalid escapes, `is` with a literal
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _within_strings(text: str) -> set[int]:
    """Line beginnings that lie inside a string or follow a backslash."""
    inside: set[int] = set()
    for match in _QUOTED.finditer(text):
        quoted = match.group()
        if "\n" in quoted and quoted[0] != "#":
            at = quoted.find("\n")
            while at >= 0:
                inside.add(match.start() + at + 1)
                at = quoted.find("\n", at + 1)
    at = text.find("\\\n")
    while at >= 0:
        inside.add(at + 2)
        at = text.find("\\\n", at + 2)
    return inside


def _depth(text: str) -> int:
    """Open brackets at the end of a stretch, strings and comments aside."""
    bare = _QUOTED.sub("", text)
    return sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
