"""What two calls of a thread share at their start, by piece tables instead of bytes.

A kept range of an append-only log is the same bytes in every call, so two tables are compared run by
run: O(pieces), whatever the length of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contextkit.piece import Piece, Ranges
from contextkit.tokens import Measure, add


class Run(NamedTuple):
    """Log entries `start <= seq < stop`, or one message by its digest."""

    start: int
    stop: int
    digest: bytes
    measure: Measure
    piece: int
    """Index of the piece it came from."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The common start of two calls."""

    measure: Measure
    is_whole: bool
    """True where the earlier call is a prefix of the later one."""
    piece: Piece | None = None
    """The later call's piece in which they part, None where it is whole."""


def runs(pieces: Sequence[Piece]) -> tuple[Run, ...]:
    """What the pieces show, neighbouring log ranges joined."""
    return tuple(_each_run(pieces))


def _each_run(pieces: Sequence[Piece]) -> Iterator[Run]:
    last: Run | None = None
    for index, piece in enumerate(pieces):
        if piece.shown is None:
            if last is not None and last.stop == piece.start:
                joined = add(last.measure, piece.measure)
                last = Run(last.start, piece.stop, b"", joined, last.piece)
                continue
            if last is not None:
                yield last
            last = Run(piece.start, piece.stop, b"", piece.measure, index)
        elif piece.shown:
            if last is not None:
                yield last
                last = None
            measure = piece.measure
            for message in piece.shown:
                yield Run(-1, -1, message.digest, measure, index)
                measure = (0,) * len(measure)
    if last is not None:
        yield last


def stable(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """The pieces before the first one that was made for its call only."""
    for index, piece in enumerate(pieces):
        if piece.volatile:
            return pieces[:index]
    return pieces


def measure_runs(shown: Sequence[Run], zero: Measure) -> Measure:
    """The sum of the measures of runs."""
    return tuple(map(sum, zip(zero, *[run.measure for run in shown], strict=True)))


def compare(
    earlier: tuple[Run, ...],
    later: tuple[Run, ...],
    pieces: Sequence[Piece],
    ranges: Ranges,
    zero: Measure,
) -> Shared:
    """How far the later call, of these `pieces`, repeats the earlier one; both given as `runs`."""
    same = _same_runs(earlier, later)
    shared = measure_runs(earlier[:same], zero)
    for index in range(same, len(earlier)):
        run, other = earlier[index], later[index] if index < len(later) else None
        if other is None or bool(run.digest) != bool(other.digest):
            return Shared(shared, False, _parting(pieces, other, run.start))
        if run.digest:
            if run.digest != other.digest:
                return Shared(shared, False, pieces[other.piece])
            shared = add(shared, run.measure)
            continue
        if run.start != other.start:
            return Shared(shared, False, _parting(pieces, other, run.start))
        stop = min(run.stop, other.stop)
        whole = stop == run.stop
        shared = add(shared, run.measure if whole else ranges.span(run.start, stop))
        if stop < run.stop or (stop < other.stop and index + 1 < len(earlier)):
            return Shared(shared, False, _parting(pieces, other, stop))
    return Shared(shared, True)


def _same_runs(earlier: tuple[Run, ...], later: tuple[Run, ...]) -> int:
    """How many runs the two begin with are equal: all but the newest, where a call only goes on."""
    n = len(earlier) - 1
    return n if n > 0 and earlier[:n] == later[:n] else 0


def _parting(pieces: Sequence[Piece], run: Run | None, seq: int) -> Piece | None:
    """The piece that stands where the earlier call went on with `seq`."""
    for piece in pieces:
        if seq >= 0 and piece.start <= seq < piece.stop:
            if piece.is_log and run is not None and run.digest:
                return pieces[run.piece]  # put in before what stays as it was said
            return piece
    if run is not None:
        return pieces[run.piece]
    return pieces[-1] if pieces else None
