"""The piece table: a thread's log as a short list of ranges, each in one state.

Like a text editor's piece table, an edit never copies text: it cuts ranges and marks them. A piece is
a range of the log that is kept, dropped or replaced, or an item that was inserted between two entries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

from contextkit.errors import PolicyError
from contextkit.messages import Message, from_json, to_json
from contextkit.tokens import Measure

_HANDLE = re.compile(r"m(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)

Action: TypeAlias = Literal["keep", "drop", "replace", "insert", "move"]


@dataclass(frozen=True)
class Piece:
    """A range `start <= seq < stop` of the log in one state, or an inserted item standing at `start`."""

    start: int
    stop: int
    measure: Measure
    """Of what is shown."""
    action: Action = "keep"
    shown: tuple[Message, ...] | None = None
    """None: the log's own messages; otherwise what stands there instead (nothing, where dropped)."""
    section: str = "history"
    pinned: bool = False
    policy: str = "assembly"
    why: str = "fits the window"
    volatile: bool = False
    """Made for one call: what stands behind it is not expected to be repeated by the next."""
    detail: str = ""
    """Stays with the piece for the policy that made it (which entry a duplicate points to)."""

    @property
    def is_log(self) -> bool:
        """True where the log's own messages are shown."""
        return self.shown is None

    @property
    def is_inserted(self) -> bool:
        return self.start == self.stop

    @cached_property
    def handle(self) -> str:
        """Short, stable and quotable: `m17`, `m3-17` (both ends included), `x3f2a9c` for an insert."""
        if self.is_inserted:
            return "x" + (self.shown[0].digest.hex()[:6] if self.shown else "0")
        return entry_handle(self.start, self.stop)

    def changed(self, **fields: Any) -> Piece:
        """The piece with other values for some fields: `dataclasses.replace` at a fraction of its time."""
        new = object.__new__(Piece)
        state = new.__dict__
        state.update(self.__dict__)
        state.pop("handle", None)  # cached; follows from the range
        state.update(fields)
        return new

    def is_behind(self, at: int) -> bool:
        """Whether an item inserted at `at` stands before this piece; items there keep their order."""
        return self.start > at or (self.start == at and not self.is_inserted)

    def is_made_at(self, at: int, *, by_others_than: str) -> bool:
        """Whether it is an item that another policy inserted before entry `at`."""
        return self.is_inserted and self.start == at and self.policy != by_others_than


def entry_handle(start: int, stop: int) -> str:
    """The handle of the entries `start <= seq < stop`."""
    return f"m{start}" if stop - start == 1 else f"m{start}-{stop - 1}"


def parse_handle(handle: str) -> tuple[int, int] | None:
    """The range that an entry handle names, or None for any other text."""
    found = _HANDLE.fullmatch(handle)
    if found is None:
        return None
    first, last = found.groups()
    start = int(first)
    stop = int(last) + 1 if last else start + 1
    return (start, stop) if stop > start else None


class Ranges(Protocol):
    """Tells the measure of any range of the log; what a piece needs when it is cut."""

    def span(self, start: int, stop: int) -> Measure: ...


Change: TypeAlias = Callable[[Piece, int, int], Piece | None]
"""What becomes of `start <= seq < stop` of a piece; None: another piece takes over that range."""


def edit(
    pieces: Sequence[Piece], start: int, stop: int, ranges: Ranges, change: Change
) -> tuple[Piece, ...]:
    """The table with every part inside `start <= seq < stop` put through `change`, in place.

    Kept and dropped pieces are cut at the ends of the range; a replaced piece is whole or not at all:
    cutting through one raises `PolicyError`. Inserted items stay. What became alike is merged there and
    with its two neighbours; a table holds no others that are.
    """
    return edit_each(pieces, [(start, stop, change)], ranges)


def edit_each(
    pieces: Sequence[Piece], edits: Sequence[tuple[int, int, Change]], ranges: Ranges
) -> tuple[Piece, ...]:
    """Several edits in one pass; their ranges are apart from each other and in order."""
    stops = [stop for _, stop, _ in edits]
    first, last = (edits[0][0], stops[-1]) if edits else (0, 0)
    met = [i for i, piece in enumerate(pieces) if piece.stop > first and piece.start < last]
    if not met:
        return tuple(pieces)
    out: list[Piece] = []
    for piece in pieces[met[0] : met[-1] + 1]:
        if piece.stop <= first or piece.start >= last:
            out.append(piece)
            continue
        index = len(edits) if piece.start == piece.stop else bisect_right(stops, piece.start)
        at = piece.start
        while index < len(edits) and edits[index][0] < piece.stop:
            start, stop, change = edits[index]
            low, high = max(start, piece.start), min(stop, piece.stop)
            if piece.shown and (low, high) != (piece.start, piece.stop):
                raise PolicyError(
                    f"{piece.handle} was replaced as a whole and cannot be cut at {start}..{stop}; "
                    f"edit all of {piece.handle}"
                )
            if at < low:
                out.append(part(piece, at, low, ranges))
            changed = change(piece, low, high)
            if changed is not None:
                out.append(changed)
            at, index = high, index + 1
        if at < piece.stop or piece.start == piece.stop:
            out.append(part(piece, at, piece.stop, ranges))
    low, high = max(0, met[0] - 1), met[-1] + 2
    joint = merge((*pieces[low : met[0]], *out, *pieces[met[-1] + 1 : high]), ranges)
    return (*pieces[:low], *joint, *pieces[high:])


def split(pieces: Sequence[Piece], at: int, ranges: Ranges) -> list[Piece]:
    """The table with the kept or dropped piece around entry `at` cut in two before it."""
    out: list[Piece] = []
    for piece in pieces:
        if piece.start < at < piece.stop and not piece.shown:
            out.append(part(piece, piece.start, at, ranges))
            out.append(part(piece, at, piece.stop, ranges))
        else:
            out.append(piece)
    return out


def part(piece: Piece, start: int, stop: int, ranges: Ranges) -> Piece:
    """A kept or dropped piece narrowed to a part of its range; the whole piece as it is."""
    if (start, stop) == (piece.start, piece.stop):
        return piece
    measure = ranges.span(start, stop) if piece.is_log else piece.measure
    return piece.changed(start=start, stop=stop, measure=measure)


def merge(pieces: Sequence[Piece], ranges: Ranges) -> tuple[Piece, ...]:
    """Neighbouring ranges in the same state, for the same reason, as one piece."""
    merged: list[Piece] = []
    last: Piece | None = None
    for piece in pieces:
        if last is not None and last.stop == piece.start and _alike(last, piece):
            measure = ranges.span(last.start, piece.stop) if piece.is_log else piece.measure
            last = merged[-1] = last.changed(stop=piece.stop, measure=measure)
        else:
            merged.append(piece)
            last = piece
    return tuple(merged)


def _alike(left: Piece, right: Piece) -> bool:
    """Whether two kept or two dropped ranges are in the same state."""
    return (
        not left.shown
        and left.shown == right.shown
        and left.start < left.stop
        and right.start < right.stop
        and left.action == right.action
        and left.section == right.section
        and left.pinned == right.pinned
        and left.policy == right.policy
        and (left.action == "drop" or left.why == right.why)
    )


def truncate(pieces: Sequence[Piece], stop: int, ranges: Ranges) -> tuple[Piece, ...]:
    """The table up to entry `stop`; a replaced piece that crosses it is left out with all after."""
    out: list[Piece] = []
    for piece in pieces:
        if piece.stop <= stop:
            out.append(piece)
        elif piece.start < stop and not piece.shown:
            out.append(part(piece, piece.start, stop, ranges))
    return tuple(out)


def dump(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """The table as JSON values; measures are left out, they belong to a counter."""
    rows: list[dict[str, Any]] = []
    for piece in pieces:
        row: dict[str, Any] = {
            "start": piece.start,
            "stop": piece.stop,
            "action": piece.action,
            "section": piece.section,
            "policy": piece.policy,
            "why": piece.why,
        }
        if piece.shown is not None:
            row["shown"] = [to_json(message) for message in piece.shown]
        if piece.pinned:
            row["pinned"] = True
        if piece.volatile:
            row["volatile"] = True
        if piece.detail:
            row["detail"] = piece.detail
        rows.append(row)
    return rows


def load(
    rows: Sequence[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], tuple[Message, ...] | None]]:
    """The rows that `dump` wrote, their messages read; the caller adds the measures."""
    for row in rows:
        fields = dict(row)
        shown = fields.pop("shown", None)
        yield fields, None if shown is None else tuple(from_json(value) for value in shown)
