"""Lines that stand for themselves: logs, listings, traces, paragraphs of plain text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from contextkit.compression.spans import words
from contextkit.compression.structure.eliding import Parts, counted

_DIGITS = str.maketrans("123456789", "000000000")
_LEVELS = ("error", "warn")
RARE = 0.5
MOST_TEMPLATES = 5000
_FRAME = re.compile(r"\s+(?:File \"|at )")
_FOREIGN = re.compile(r"site-packages|node_modules|/lib/python|<frozen |\bjava\.|\bsun\.|internal/")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines stay: the ends, those that say something went wrong, one of each rare shape."""

    stub_is_part: bool = False
    trace: bool = False
    """Whether frames of a stack are told apart: one's own code stays longer than a library's."""

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """One part a line; a single line has none."""
        lines = text[start:stop].splitlines(keepends=True)
        if len(lines) < 2:
            return None
        if self.trace:
            lines = _by_frame(lines)
        bounds = [*accumulate(map(len, lines), initial=start)]
        bonus = _frames(lines) if self.trace else _rare(lines)
        what = "frames" if self.trace else "lines"
        return Parts(bounds[:-1], bounds[1:], start, stop, bonus=bonus, what=what)

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A line that counts what left, and how much of it was trouble."""
        gone = text[parts.starts[low] : parts.stops[high - 1]]
        lowered = gone.lower()
        levels = [f"{n} {level}" for level in _LEVELS if (n := lowered.count(level))]
        said = f"; {', '.join(levels)}" if levels else ""
        end = "\n" if gone.endswith(("\n", "\r")) else ""
        return f"… {counted(high - low, parts.what)} left out{said}{where}{end}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """A long line: its head and its tail, cut between words."""
        return cut(text[start:stop], room, where)

    def finish(self, told: str) -> str:
        """Lines are valid however many there are."""
        return told


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


def _rare(lines: list[str]) -> Mapping[int, float]:
    """The first line of each shape, by how seldom it occurs; digits don't tell shapes apart."""
    shapes = "".join(lines).translate(_DIGITS).splitlines(keepends=True)
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
