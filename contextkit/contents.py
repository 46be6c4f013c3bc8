"""What a call holds so far and what that comes to: tokens, messages, faults, what it repeats of the last.

Worked out from the pieces when it is asked for, and kept as long as the pieces stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from contextkit.log import Entry
from contextkit.log_view import LogView
from contextkit.messages import Message
from contextkit.piece import Piece
from contextkit.prefix import (
    Reading,
    Repeated,
    Run,
    Shared,
    compare,
    n_messages,
    read,
    runs,
    stable,
)
from contextkit.tokens import Measure, TokenCounter
from contextkit.tools import Tool

_OF_PIECES = (
    "measure",
    "upper_tokens",
    "input_tokens",
    "runs",
    "messages",
    "reading",
    "_compared",
)
"""Cached by `Contents` and worked out from its pieces."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A range that no policy may drop or change: the current request, the newest batch."""

    start: int
    stop: int
    why: str


@dataclass(frozen=True)
class Contents:
    """What the next call would send, so far."""

    log: LogView
    counter: TokenCounter
    pieces: tuple[Piece, ...]
    """As this call would show them."""
    sticky: tuple[Piece, ...]
    """As they will be committed: `pieces` without the transient edits."""
    tools: tuple[Tool, ...]
    frame: Measure
    limit_tokens: int
    """Window without the reply reserve: what `upper_tokens` may reach."""
    protected: tuple[Protected, ...] = ()
    cache_points: tuple[tuple[int, str, str], ...] = ()
    """(`seq` of the entry that ends the cached prefix, or -1 for the tools; ttl; why)."""
    notes: tuple[str, ...] = ()
    held_tokens: float = 0.0
    """What edits that wait have cost up to this call, in tokens at the uncached price."""
    before: Repeated | None = None
    """The start of the call before this one, where this process made that call."""

    @cached_property
    def measure(self) -> Measure:
        columns = zip(self.frame, *[piece.measure for piece in self.pieces], strict=True)
        return tuple(map(sum, columns))

    @cached_property
    def upper_tokens(self) -> int:
        """The call's tokens at the upper end of the error bar, frame included.

        Of the summed measure: error bars of parts add up to more than the bar of the whole.
        """
        return self.upper(self.measure)

    @cached_property
    def input_tokens(self) -> int:
        """The call's tokens, piece by piece as the ledger counts them, frame included."""
        tokens = self.counter.tokens
        return tokens(self.frame) + sum([tokens(piece.measure) for piece in self.pieces])

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """What the call shows, in the form in which two calls are compared."""
        return runs(self.pieces)

    @cached_property
    def tools_digest(self) -> str:
        """SHA-256 (hex) over the tools in their order."""
        return hashlib.sha256(b"".join(tool.digest for tool in self.tools)).hexdigest()

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """What the call would say, in order."""
        before = self._repeated_before
        known = before.messages if before else ()
        new: list[Message] = []
        behind = len(known)
        for piece in self.pieces:
            n_shown = n_messages(piece)
            if behind < n_shown:
                new += self.shown(piece, behind)
            behind = max(0, behind - n_shown)
        return (*known, *new)

    @cached_property
    def reading(self) -> Reading:
        """What reading the messages finds: faults, the fingerprint, what the next call may repeat."""
        lasting = stable(self.pieces)
        return read(self.messages, self.runs, lasting, self.tools_digest, self._repeated_before)

    @property
    def faults(self) -> list[str]:
        """What a provider would refuse in `messages`; empty where nothing."""
        return self.reading.faults

    def shared(self, earlier: tuple[Run, ...]) -> Shared:
        """How far the call repeats an earlier one; compared once with each."""
        for runs_before, known in self._compared:
            if runs_before is earlier:
                return known
        found = compare(earlier, self.runs, self.pieces, self.log, self.counter.zero)
        self._compared.append((earlier, found))
        return found

    def upper(self, measure: Measure) -> int:
        return self.counter.upper(measure)

    def shown(self, piece: Piece, behind: int = 0) -> Sequence[Message]:
        """The messages that a piece puts into the call, those behind the first so many."""
        if piece.shown is not None:
            return piece.shown[behind:]
        return [entry.message for entry in self.log.entries(piece.start + behind, piece.stop)]

    def visible(self, start: int = 0) -> Iterator[Entry]:
        """Entries from `start` on that are shown as they were said, oldest first."""
        for piece in self.pieces:
            if piece.is_log and piece.stop > start:
                yield from self.log.entries(max(start, piece.start), piece.stop)

    def is_protected(self, start: int, stop: int) -> Protected | None:
        """The protected range that meets `start <= seq < stop`, if any."""
        for guard in self.protected:
            if guard.start < stop and start < guard.stop:
                return guard
        return None

    def free(self, start: int, stop: int) -> Iterator[tuple[Piece, int, int]]:
        """What a policy may drop of `start <= seq < stop`: shown, not pinned, not protected.

        Each with the piece it belongs to, oldest first; a replaced piece is whole or not there.
        """
        for piece in self.pieces:
            if piece.shown == () or piece.is_inserted or piece.pinned:
                continue
            if not piece.is_log:
                whole = start <= piece.start and piece.stop <= stop
                if whole and self.is_protected(piece.start, piece.stop) is None:
                    yield piece, piece.start, piece.stop
                continue
            low = max(start, piece.start)
            high = min(stop, piece.stop)
            for guard in sorted(self.protected, key=lambda g: g.start):
                if guard.stop <= low or guard.start >= high:
                    continue
                if low < guard.start:
                    yield piece, low, guard.start
                low = guard.stop
            if low < high:
                yield piece, low, high

    def changed(self, **fields: Any) -> Self:
        """The same with other values for some fields, for what is no edit: a limit, notes, points.

        `dataclasses.replace` at a fraction of its time: what follows from the pieces stays while they do.
        """
        new = object.__new__(type(self))
        state = new.__dict__
        state.update(self.__dict__)
        if "pieces" in fields:
            for name in _OF_PIECES:
                state.pop(name, None)
        if "tools" in fields:
            state.pop("tools_digest", None)
            state.pop("reading", None)
        state.update(fields)
        return new

    @cached_property
    def _compared(self) -> list[tuple[tuple[Run, ...], Shared]]:
        return []

    @property
    def _repeated_before(self) -> Repeated | None:
        """`before`, where this call repeats it."""
        before = self.before
        return before if before and self.shared(before.runs).is_whole else None
