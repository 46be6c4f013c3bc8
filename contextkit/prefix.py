"""What two calls of a thread share at their start, by piece tables instead of bytes.

A kept range of an append-only log is the same bytes in every call, so two tables are compared run by
run: O(pieces), whatever the length of the history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from contextkit.messages import Message
from contextkit.piece import Piece, Ranges
from contextkit.tokens import Measure, add
from contextkit.validity import Pairing


class Run(NamedTuple):
    """Log entries `start <= seq < stop`, or one message by its digest."""

    start: int
    stop: int
    digest: bytes
    measure: Measure
    piece: int
    """Index of the piece it came from."""


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """The start of a call that the next one is expected to repeat, and what was worked out of it.

    A call that does repeat it goes on from here and costs what is new in it.
    """

    runs: tuple[Run, ...]
    messages: tuple[Message, ...]
    """What the runs show."""
    tools_digest: str
    pairing: Pairing
    """Has read `messages`; whoever reads on takes a copy."""
    hashed: Any
    """SHA-256 (hashlib's) of the tools and `messages`, likewise."""


class Reading(NamedTuple):
    """What is found in reading a call's messages from the first to the last."""

    faults: list[str]
    """What a provider would refuse; empty where nothing."""
    fingerprint: str
    """SHA-256 (hex) over tools and messages."""
    repeated: Repeated


def read(
    messages: tuple[Message, ...],
    shown: tuple[Run, ...],
    lasting: Sequence[Piece],
    tools_digest: str,
    before: Repeated | None,
) -> Reading:
    """Read the messages of `shown`; those of the pieces `lasting` are expected to be repeated.

    `before`: what these messages begin with, where that was read for the call before.
    """
    n_lasting = sum(n_messages(piece) for piece in lasting)
    if before and before.tools_digest == tools_digest and len(before.messages) <= n_lasting:
        n_read, pairing, hashed = len(before.messages), before.pairing.copy(), before.hashed.copy()
    else:
        n_read, pairing, hashed = 0, Pairing(), hashlib.sha256(tools_digest.encode("ascii"))
    pairing.read(messages[n_read:n_lasting])
    hashed.update(b"".join([message.digest for message in messages[n_read:n_lasting]]))
    if n_lasting == len(messages):
        repeated = Repeated(shown, messages, tools_digest, pairing, hashed)
        return Reading(pairing.problems(), hashed.hexdigest(), repeated)
    head = messages[:n_lasting]
    repeated = Repeated(runs(lasting), head, tools_digest, pairing.copy(), hashed.copy())
    pairing.read(messages[n_lasting:])
    hashed.update(b"".join([message.digest for message in messages[n_lasting:]]))
    return Reading(pairing.problems(), hashed.hexdigest(), repeated)


def n_messages(piece: Piece) -> int:
    """How many messages a piece shows."""
    return piece.stop - piece.start if piece.shown is None else len(piece.shown)


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
