"""Structures as trees over their own text: parts leave whole, a stub says so, the rest is untouched.

A dialect knows how a stretch of text falls into parts and what a stub looks like there; which parts stay
is decided here, the same way for all. Nothing is parsed that is not opened, and what stays is a slice of
the source, so it is spelled as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contextkit.compression.structure.relevance import Hits

STUB = 36
"""Characters that a stub is expected to take, without its handle."""
MISSES = 64
"""Parts in a row that did not fit, after which no other is tried."""
MOST_DEPTH = 100


class NotThis(ValueError):
    """The text is not of this kind, or not in a way that can be told in parts."""


def counted(n: int, what: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{n} {what if n != 1 else what[:-1]}"


def _none() -> Mapping[int, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Parts:
    """A stretch `text[start:stop]` in parts: `text[start:head]`, the parts, `text[tail:stop]`."""

    starts: Sequence[int]
    stops: Sequence[int]
    head: int
    tail: int
    joint: str = ""
    """What stands between two parts."""
    skeleton: bool = False
    """Whether every part told briefly says more than a few told in full."""
    first: int = 0
    """Parts at the beginning that stay (the header of a table)."""
    bonus: Mapping[int, float] = field(default_factory=_none)
    """What the dialect itself finds worth keeping."""
    what: str = "items"


class Dialect(Protocol):
    """How one kind of text is told in fewer characters."""

    @property
    def stub_is_part(self) -> bool:
        """Whether a stub is set apart by `joint` like a part: an array's element is, a comment is not."""
        ...

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """The parts of a stretch, or None where it has none. Raises `NotThis`."""
        ...

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """What stands for the parts `low <= i < high`; `alone`: no part of the stretch stays."""
        ...

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """A stretch without parts in fewer characters, or None where it stays whole or leaves."""
        ...

    def finish(self, told: str) -> str:
        """The told text made valid; raises `NotThis` where it can't be."""
        ...


class Telling:
    """One text, opened as far as needed, that can be told at any size."""

    def __init__(self, text: str, dialect: Dialect, hits: Hits, where: str = "") -> None:
        """Raises `NotThis` where the text is not of the dialect."""
        self._text, self._dialect, self._hits, self._where = text, dialect, hits, where
        self._opened: dict[tuple[int, int], Parts | None] = {}
        if self._open(0, len(text)) is None:
            raise NotThis("the text has no parts")

    def tell(self, room: int) -> str:
        """The text in about `room` characters. Raises `NotThis` where that can't be told validly."""
        told = self._told(0, len(self._text), room, 0)
        return self._dialect.finish(self._text if told is None else told)

    def _told(self, start: int, stop: int, room: int, depth: int) -> str | None:
        """A stretch in about `room` characters; None where it can't be shortened."""
        if stop - start <= room:
            return self._text[start:stop]
        parts = self._open(start, stop) if depth < MOST_DEPTH else None
        if parts is None or not parts.starts:
            return self._dialect.leaf(self._text, start, stop, room, self._where)
        scores = self._hits.scores(parts.starts, parts.head, parts.tail)
        for index, bonus in parts.bonus.items():
            scores[index] = scores.get(index, 0.0) + bonus
        fixed = parts.head - start + stop - parts.tail
        grants = _choose(parts, scores, room - fixed, STUB + len(self._where))
        return self._joined(start, stop, parts, grants, depth)

    def _joined(
        self, start: int, stop: int, parts: Parts, grants: Mapping[int, int], depth: int
    ) -> str:
        kept: list[tuple[int, str]] = []
        for index in sorted(grants):
            grant = grants[index]
            told = self._told(parts.starts[index], parts.stops[index], grant, depth + 1)
            if told is not None and (
                len(told) <= grant + STUB + len(self._where) or index < parts.first
            ):
                kept.append((index, told))
        out = [self._text[start : parts.head]]
        n, behind, needs_joint = len(parts.starts), 0, False
        for index, told in [*kept, (n, "")]:
            if index > behind:
                if needs_joint and self._dialect.stub_is_part:
                    out.append(parts.joint)
                stub = self._dialect.stub(self._text, parts, behind, index, not kept, self._where)
                out.append(stub)
                needs_joint = needs_joint or self._dialect.stub_is_part
            if index < n:
                if needs_joint:
                    out.append(parts.joint)
                out.append(told)
                needs_joint = True
            behind = index + 1
        out.append(self._text[parts.tail : stop])
        return "".join(out)

    def _open(self, start: int, stop: int) -> Parts | None:
        key = (start, stop)
        if key not in self._opened:
            self._opened[key] = self._dialect.open(self._text, start, stop)
        return self._opened[key]


def _choose(parts: Parts, scores: Mapping[int, float], room: int, stub: int) -> dict[int, int]:
    """Which parts stay, each with the characters that it may take."""
    if parts.skeleton:
        kept = _skeleton(parts, scores, room, stub)
        if kept is not None:
            return kept
    kept = {index: parts.stops[index] - parts.starts[index] for index in range(parts.first)}
    left = room - stub - sum(kept.values())
    fair, misses = max(left // 8, 2 * stub), 0
    for index in _order(len(parts.starts), scores):
        if index in kept:
            continue
        size = parts.stops[index] - parts.starts[index] + len(parts.joint)
        # A part beside one that stays shortens a gap; one in the middle of a gap makes a stub more.
        gaps = (
            1
            - (index - 1 in kept or index == 0)
            - (index + 1 in kept or index == len(parts.starts) - 1)
        )
        cost = size + gaps * stub
        if cost <= left:
            kept[index], misses = size, 0
            left -= cost
        elif size > fair and left >= 3 * stub:
            kept[index], misses = left * 3 // 4, 0
            left -= kept[index] + max(gaps, 0) * stub
        else:
            misses += 1
        if misses > MISSES or left <= 0:
            break
    return kept


def _skeleton(
    parts: Parts, scores: Mapping[int, float], room: int, stub: int
) -> dict[int, int] | None:
    """Every part told briefly, the best in full as far as it goes; None where even that is too much."""
    n = len(parts.starts)
    brief = 2 * stub
    if n * 8 > room:
        return None
    sizes = [
        stop - start + len(parts.joint)
        for start, stop in zip(parts.starts, parts.stops, strict=True)
    ]
    kept = {index: min(size, brief) for index, size in enumerate(sizes)}
    left = room - sum(kept.values())
    if left < 0:
        return None
    for index in _order(n, scores):
        more = sizes[index] - kept[index]
        if more <= left:
            kept[index] += more
            left -= more
        elif left > brief:
            kept[index] += left * 2 // 3
            left -= left * 2 // 3
    return kept


def _order(n: int, scores: Mapping[int, float]) -> Iterator[int]:
    """Parts by score, then from both ends towards the middle."""
    yield from sorted(scores, key=lambda index: (-scores[index], index))
    for low in range((n + 1) // 2):
        if low not in scores:
            yield low
        high = n - 1 - low
        if high != low and high not in scores:
            yield high
