"""Lines that stand for themselves: logs, listings, traces, paragraphs of plain text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from contextkit.compression.spans import words
from contextkit.compression.structure.parts import NotThis, Parts, bounds_of, counted

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LEVELS = ("error", "warn")
RARE = 0.5
MOST_TEMPLATES = 5000
_FRAME = re.compile(r"\s+(?:File \"|at )")
_FOREIGN = re.compile(r"site-packages|node_modules|/lib/python|<frozen |\bjava\.|\bsun\.|internal/")


class Lines:
    """Whole lines stay: the ends, those that say something went wrong, one of each rare shape.

    `trace`: frames of a stack are told apart; one's own code stays longer than a library's.
    """

    stub_is_part = False

    def __init__(self, text: str, trace: bool = False) -> None:
        self._text, self._trace = text, trace

    def top(self) -> Parts:
        """One part a line. Raises `NotThis` for a single one."""
        lines = self._text.splitlines(keepends=True)
        if len(lines) < 2:
            raise NotThis("a single line")
        if self._trace:
            lines = _by_frame(lines)
        edges = bounds_of([*map(len, lines)])
        bonus = _frames(lines) if self._trace else _rare(lines, self._text)
        what = "frames" if self._trace else "lines"
        return Parts(edges[:-1], edges[1:], 0, len(self._text), bonus=bonus, what=what)

    def open(self, start: int, stop: int) -> Parts | None:
        """A line has no parts."""
        return None

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A line that counts what left, and how much of it was trouble."""
        start, stop = parts.span(low, high)
        gone = self._text[start:stop].lower()
        levels = [f"{n} {level}" for level in _LEVELS if (n := gone.count(level))]
        said = f"; {', '.join(levels)}" if levels else ""
        end = "\n" if gone.endswith(("\n", "\r")) else ""
        return f"… {counted(high - low, parts.what)} left out{said}{where}{end}"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """A long line: its head and its tail, cut between words."""
        return cut(self._text[start:stop], room, where)

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Lines are valid however many there are."""


def cut(text: str, room: int, where: str) -> str | None:
    """Head and tail of a text, no word and no protected span cut; None where too little would stay."""
    note = f" … {len(text)} characters left out{where} … "
    share = room - len(note)
    if share < 0:
        return None
    front, back = text[: share * 2 // 3 + 1], text[len(text) - share // 3 - 1 :]
    heads, tails = words(front), words(back)
    head = front[: heads[-1].start].rstrip() if heads else ""
    tail = back[tails[0].stop :] if tails else ""
    return f"{head}{note}{tail}" if head or tail.strip() else note.strip() + (" " if tail else "")


def _rare(lines: list[str], text: str) -> Mapping[int, float]:
    """The first line of each shape, by how seldom it occurs; digits don't tell shapes apart."""
    data = text.encode("utf-8", "surrogatepass").translate(_DIGITS)
    shapes = data.decode("utf-8", "surrogatepass").splitlines(keepends=True)
    counts = Counter(shapes)
    if len(counts) > max(8, len(lines) // 4) or len(counts) > MOST_TEMPLATES:
        return {}
    first = dict(zip(reversed(shapes), range(len(shapes) - 1, -1, -1), strict=True))
    return {at: RARE / counts[shape] ** 0.5 for shape, at in first.items()}


def _by_frame(lines: list[str]) -> list[str]:
    """Each frame with the source lines below it as one."""
    found: list[str] = []
    in_frame = False
    for line in lines:
        begins = _FRAME.match(line) is not None
        if not found or begins or not in_frame or not line[:1].isspace():
            found.append(line)
            in_frame = begins
        else:
            found[-1] += line
    return found


def _frames(lines: list[str]) -> Mapping[int, float]:
    """What was raised, then where in one's own code, the innermost frames first."""
    frames = [i for i, line in enumerate(lines) if _FRAME.match(line)]
    said = {i: 3.0 for i, line in enumerate(lines) if line.strip() and not line[0].isspace()}
    for index in frames:
        own = 0.2 if _FOREIGN.search(lines[index]) else 1.0
        said[index] = own + 0.5 * index / len(lines) + (index in (frames[0], frames[-1]))
    return said
