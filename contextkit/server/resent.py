"""What clients send again: the bodies of recorded requests, so that only what is new is read.

A client without a memory of its own sends its whole history with every request. Bytes that were read
once are compared, not parsed: up to the last message that both bodies end alike, the earlier one's keys
hold.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count, islice
from threading import Lock

from contextkit.messages import Message
from contextkit.server.json_body import Body

Place = tuple[str, ...]
"""Tenant, path and thread name: bodies are only compared within one of these."""

CANDIDATES = 256
"""Bodies of one place that are looked at, the newest."""
PROBE = 64
"""Bytes that are compared before whole halves of bodies are."""


@dataclass(frozen=True, slots=True)
class Known:
    """A body that was read, up to the end of its last message."""

    body: Body
    raw: bytes
    ends: array[int]
    """The byte behind each message."""
    open_ends: bytearray
    """Whether each may go on in another body: the array is not cut there, nor does it end so."""
    keys: list[bytes]
    """Their comparison keys."""
    n_opening: int
    """How many of them a conversation is known by."""
    instructions: tuple[Message, ...]
    """The messages that open it as instructions."""


@dataclass(frozen=True, slots=True)
class Match:
    """How much of a new body is known."""

    known: Known
    at: int
    """The byte from which the body is new."""
    n_messages: int


class Bodies:
    """Bodies by place, the longest unused forgotten once they are over `limit_bytes`. Safe to share."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._numbers = count()
        self._all: OrderedDict[int, tuple[Place, Known]] = OrderedDict()
        self._places: dict[Place, OrderedDict[int, Known]] = {}
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        return self._held

    def find(self, place: Place, raw: bytes) -> Match | None:
        """The body that most of `raw` repeats."""
        with self._lock:
            newest = self._newest(self._places.get(place))
        best: tuple[int, Match] | None = None
        for number, known in newest:
            if best is not None and best[1].at >= len(known.raw):
                continue
            match = _match(known, raw)
            if match is not None and (best is None or match.at > best[1].at):
                best = number, match
        if best is None:
            return None
        with self._lock:
            if best[0] in self._all:
                self._all.move_to_end(best[0])
                self._places[place].move_to_end(best[0])
        return best[1]

    def add(self, place: Place, known: Known) -> None:
        """Remember a body in place of those that it begins with."""
        with self._lock:
            here = self._places.setdefault(place, OrderedDict())
            for number, other in self._newest(here):
                if len(other.raw) <= len(known.raw) and known.raw.startswith(other.raw):
                    self._forget(number)
            number = next(self._numbers)
            self._all[number] = place, known
            self._places.setdefault(place, here)[number] = known
            self._held += _size(known)
            while self._held > self._limit and self._all:
                self._forget(next(iter(self._all)))

    @staticmethod
    def _newest(here: OrderedDict[int, Known] | None) -> list[tuple[int, Known]]:
        return list(islice(reversed(here.items()), CANDIDATES)) if here else []

    def _forget(self, number: int) -> None:
        place, known = self._all.pop(number)
        self._held -= _size(known)
        here = self._places[place]
        del here[number]
        if not here:
            del self._places[place]


def _size(known: Known) -> int:
    """Bytes that a body takes, with its keys and places."""
    return len(known.raw) + 96 * len(known.keys) + 9 * len(known.ends)


def _match(known: Known, raw: bytes) -> Match | None:
    """How far `raw` repeats a known body, where that saves half of it."""
    if raw.startswith(known.raw):
        return Match(known, known.ends[-1], len(known.ends))
    half = _cut(known, len(known.ends) // 2)
    if half < 0:
        return None
    least = known.ends[half]
    probe = slice(max(0, least - PROBE), least)
    if raw[probe] != known.raw[probe] or raw[:least] != known.raw[:least]:
        return None
    low, high = half, len(known.ends) - 1  # the end at `low` is shared, the one at `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        start, stop = known.ends[low], known.ends[middle]
        if raw[start:stop] == known.raw[start:stop]:
            low = middle
        else:
            high = middle
    low = _cut(known, low)
    if low + 1 < known.n_opening:
        return None
    return Match(known, known.ends[low], low + 1)


def _cut(known: Known, at: int) -> int:
    """The last message up to `at` behind which the array may be cut; no two in a row may not."""
    return at - known.open_ends[at]
