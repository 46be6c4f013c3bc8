"""Structures as trees over their own text: parts leave whole, a stub says so, the rest is untouched.

A dialect knows how a stretch of text falls into parts and what a stub looks like there; which parts stay
is decided here, the same way for all. Nothing is parsed that is not opened, and what stays is a slice of
the source, so it is spelled as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contextkit.compression.structure.parts import STUB, Dialect, Parts
from contextkit.compression.structure.relevance import Hits, Weights

MISSES = 64
"""Parts in a row that did not fit, after which no other is tried."""
MOST_DEPTH = 100
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Opened:
    """The parts of a stretch, and what each is worth."""

    parts: Parts
    scores: Weights


class Telling:
    """One text, opened as far as needed, that can be told at any size."""

    def __init__(self, text: str, dialect: Dialect, hits: Hits, where: str = "") -> None:
        """Raises `NotThis` where the text has no parts."""
        self._text, self._dialect, self._hits, self._where = text, dialect, hits, where
        self._stub = STUB + len(where)
        self._top = self._scored(dialect.top(), 0, len(text))
        self._opened: dict[tuple[int, int], _Opened | None] = {}
        self._tellings: dict[tuple[int, int, int], str | None] = {}

    def tell(self, room: int) -> str:
        """The text in about `room` characters; whether that is valid, `check` says."""
        if len(self._text) <= room:
            return self._text
        return self._dialect.finish(self._joined(0, len(self._text), self._top, room, 0))

    def check(self, told: str) -> None:
        """Raises `NotThis` where what was told is not valid."""
        self._dialect.check(told)

    def _scored(self, parts: Parts, start: int, stop: int) -> _Opened:
        scores = self._hits.weigh(parts.starts, parts.head, parts.tail)
        for index, bonus in parts.bonus.items():
            scores[index] += bonus
        return _Opened(parts, scores)

    def _told(self, start: int, stop: int, room: int, depth: int) -> str | None:
        """A part in about `room` characters; None where it can't be shortened."""
        if stop - start <= room:
            return self._text[start:stop]
        key = (start, stop, room)
        if key not in self._tellings:
            opened = self._open(start, stop) if depth < MOST_DEPTH else None
            if opened is None:
                self._tellings[key] = self._dialect.leaf(start, stop, room, self._where)
            else:
                self._tellings[key] = self._joined(start, stop, opened, room, depth)
        return self._tellings[key]

    def _joined(self, start: int, stop: int, opened: _Opened, room: int, depth: int) -> str:
        parts = opened.parts
        fixed = parts.head - start + stop - parts.tail
        grants = _choose(parts, opened.scores, room - fixed, self._stub)
        kept: list[tuple[int, str]] = []
        for index in sorted(grants):
            grant = grants[index]
            told = self._told(*parts.span(index, index + 1), grant, depth + 1)
            if told is not None and (len(told) <= grant + self._stub or index < parts.first):
                kept.append((index, told))
        out = [self._text[start : parts.head]]
        n, behind, needs_joint = len(parts), 0, False
        for index, told in [*kept, (n, "")]:
            if index > behind:
                if needs_joint and self._dialect.stub_is_part:
                    out.append(parts.joint)
                out.append(self._dialect.stub(parts, behind, index, not kept, self._where))
                needs_joint = needs_joint or self._dialect.stub_is_part
            if index < n:
                if needs_joint:
                    out.append(parts.joint)
                out.append(told)
                needs_joint = True
            behind = index + 1
        out.append(self._text[parts.tail : stop])
        return "".join(out)

    def _open(self, start: int, stop: int) -> _Opened | None:
        key = (start, stop)
        if key not in self._opened:
            parts = self._dialect.open(start, stop)
            found = None if parts is None else self._scored(parts, start, stop)
            self._opened[key] = found
        return self._opened[key]


def _choose(parts: Parts, scores: Weights, room: int, stub: int) -> dict[int, int]:
    """Which parts stay, each with the characters that it may take."""
    if parts.skeleton:
        kept = _skeleton(parts, scores, room, stub)
        if kept is not None:
            return kept
    sizes = parts.stops - parts.starts
    kept = {index: int(sizes[index]) for index in range(parts.first)}
    left = room - stub - sum(kept.values())
    fair, misses = max(left // 8, 2 * stub), 0
    last = len(parts) - 1
    for index in _order(scores):
        if index in kept:
            continue
        size = int(sizes[index]) + len(parts.joint)
        # A part beside one that stays shortens a gap; one in the middle of a gap makes a stub more.
        gaps = 1 - (index - 1 in kept or index == 0) - (index + 1 in kept or index == last)
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


def _skeleton(parts: Parts, scores: Weights, room: int, stub: int) -> dict[int, int] | None:
    """Every part told briefly, the best in full as far as it goes; None where even that is too much."""
    n, brief = len(parts), 2 * stub
    if n * 8 > room:
        return None
    full = parts.stops - parts.starts + len(parts.joint)
    short = np.minimum(full, brief)
    left = room - int(short.sum())
    if left < 0:
        return None
    sizes: list[int] = full.tolist()
    kept: dict[int, int] = {index: int(size) for index, size in enumerate(short)}
    for index in _order(scores):
        more = sizes[index] - kept[index]
        if more <= left:
            kept[index] += more
            left -= more
        elif left > brief:
            kept[index] += left * 2 // 3
            left -= left * 2 // 3
    return kept


def _order(scores: Weights) -> Iterator[int]:
    """Parts by score, then from both ends towards the middle."""
    said = np.flatnonzero(scores)
    yield from said[np.argsort(-scores[said], kind="stable")].tolist()
    n = len(scores)
    for done in range(0, (n + 1) // 2, AT_ONCE):
        stop = min(done + AT_ONCE, (n + 1) // 2)
        ends = zip(
            scores[done:stop].tolist(), scores[n - stop : n - done][::-1].tolist(), strict=True
        )
        for low, (front, back) in enumerate(ends, done):
            if not front:
                yield low
            if not back and low != n - 1 - low:
                yield n - 1 - low
