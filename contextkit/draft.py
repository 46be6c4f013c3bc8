"""The draft of a call: an immutable piece table with the only ways to change it.

A *sticky* edit is committed to the thread's view once the call was answered, so later calls extend
this one's prefix. A *transient* edit lives for this call. Both tables are carried side by side, so
what gets committed is simply the table that never saw the transient edits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from contextkit.contents import Contents
from contextkit.errors import PolicyError
from contextkit.messages import Message
from contextkit.piece import Change, Piece, edit, edit_each, entry_handle, merge, part, split
from contextkit.tokens import Measure, measure_all
from contextkit.tools import Tool


@dataclass(frozen=True)
class Draft(Contents):
    """What the next call would send, so far. Every change returns a new draft."""

    def keep(
        self,
        start: int,
        stop: int,
        *,
        policy: str,
        why: str,
        section: str | None = None,
        pinned: bool | None = None,
        sticky: bool = True,
        volatile: bool | None = None,
    ) -> Draft:
        """Show a range as it was said (again), in another section or pinned.

        `volatile`, for a transient edit: only this call shows it so, what follows is not repeated.
        """
        self._reasoned(policy, why)
        span = self.log.span

        def change(piece: Piece, low: int, high: int) -> Piece:
            return piece.changed(
                start=low,
                stop=high,
                action="keep",
                shown=None,
                measure=span(low, high),
                section=piece.section if section is None else section,
                pinned=piece.pinned if pinned is None else pinned,
                policy=policy,
                why=why,
                detail="",
                volatile=piece.volatile if volatile is None else volatile,
            )

        return self._edit(start, stop, change, sticky)

    def drop(
        self,
        start: int,
        stop: int,
        *,
        policy: str,
        why: str,
        sticky: bool = True,
        even_protected: bool = False,
    ) -> Draft:
        """Leave a range out. Raises `PolicyError` for what is pinned or protected."""
        self._reasoned(policy, why)
        if not even_protected:
            self._refuse(start, stop, policy)
        zero = self.counter.zero

        def change(piece: Piece, low: int, high: int) -> Piece:
            if piece.shown == ():
                return part(piece, low, high, self.log)
            return piece.changed(
                start=low,
                stop=high,
                action="drop",
                shown=(),
                measure=zero,
                policy=policy,
                why=why,
                detail="",
            )

        return self._edit(start, stop, change, sticky)

    def replace(
        self,
        start: int,
        stop: int,
        messages: Sequence[Message],
        *,
        policy: str,
        why: str,
        section: str | None = None,
        detail: str = "",
        sticky: bool = True,
        even_protected: bool = False,
    ) -> Draft:
        """Show `messages` in place of a range. Raises `PolicyError` for what is pinned or protected.

        `even_protected` is for a shorter form of a batch's results, never of the request itself.
        """
        return self.replace_each(
            [(start, stop, messages)],
            policy=policy,
            why=why,
            section=section,
            detail=detail,
            sticky=sticky,
            even_protected=even_protected,
        )

    def replace_each(
        self,
        changes: Sequence[tuple[int, int, Sequence[Message]]],
        *,
        policy: str,
        why: str,
        section: str | None = None,
        detail: str = "",
        sticky: bool = True,
        even_protected: bool = False,
    ) -> Draft:
        """`replace` for many ranges in one pass: `(start, stop, messages)`, apart and in order."""
        self._reasoned(policy, why)
        ranges: list[tuple[int, int]] = []
        forms: list[tuple[tuple[Message, ...], Measure]] = []
        for start, stop, messages in changes:
            if not messages:
                raise PolicyError(f"{policy}: replace needs messages; use drop to show nothing")
            if not even_protected:
                self._refuse(start, stop, policy)
            ranges.append((start, stop))
            forms.append((tuple(messages), measure_all(self.counter, messages)))

        def changed(index: int, piece: Piece) -> Piece:
            shown, measure = forms[index]
            return Piece(
                *ranges[index],
                measure,
                "replace",
                shown,
                piece.section if section is None else section,
                piece.pinned,
                policy,
                why,
                piece.volatile,
                detail,
            )

        def table(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
            made: set[int] = set()

            def once(index: int, piece: Piece, low: int, high: int) -> Piece | None:
                if index in made:
                    return None
                made.add(index)
                return changed(index, piece)

            edits = [(*at, partial(once, index)) for index, at in enumerate(ranges)]
            after = edit_each(pieces, edits, self.log)
            for index, at in enumerate(ranges):
                if index not in made:
                    raise PolicyError(f"{policy}: {entry_handle(*at)} is not in this draft")
            return after

        kept = table(self.sticky) if sticky else self.sticky
        return self.changed(pieces=table(self.pieces), sticky=kept)

    def insert(
        self,
        at: int,
        messages: Sequence[Message],
        *,
        section: str,
        policy: str,
        why: str,
        sticky: bool = False,
        volatile: bool | None = None,
        detail: str = "",
        ahead: bool = False,
    ) -> Draft:
        """Put new messages before entry `at` (or at the end), behind what was inserted there earlier.

        A transient item is `volatile` unless it is made the same way on every turn. `detail` stays
        with it for the policy that made it. `ahead`: before what other policies inserted there.
        """
        self._reasoned(policy, why)
        if not messages:
            raise PolicyError(f"{policy}: insert needs messages")
        piece = Piece(
            at,
            at,
            measure_all(self.counter, messages),
            "insert",
            tuple(messages),
            section,
            policy=policy,
            why=why,
            volatile=not sticky if volatile is None else volatile,
            detail=detail,
        )

        def put(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
            halves = split(pieces, at, self.log)
            index = next((i for i, p in enumerate(halves) if p.is_behind(at)), len(halves))
            while ahead and index and halves[index - 1].is_made_at(at, by_others_than=policy):
                index -= 1
            return (*halves[:index], piece, *halves[index:])

        return self._put(put, sticky)

    def remove(self, item: Piece) -> Draft:
        """Take out an item that was inserted, for good; the log's own entries are dropped instead."""
        if not item.is_inserted:
            raise PolicyError(f"{item.handle} is history; use drop to leave it out")
        return self._put(lambda pieces: merge([p for p in pieces if p != item], self.log), True)

    def move(
        self, start: int, stop: int, *, to: int, policy: str, why: str, sticky: bool = False
    ) -> Draft:
        """Show a range before entry `to` instead of in its own place."""
        self._reasoned(policy, why)

        def put(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
            taken: list[Piece] = []

            def take(piece: Piece, low: int, high: int) -> None:
                taken.append(
                    part(piece, low, high, self.log).changed(
                        action="move", policy=policy, why=why, volatile=not sticky
                    )
                )

            rest = split(edit(pieces, start, stop, self.log, take), to, self.log)
            index = next((i for i, p in enumerate(rest) if p.start >= to), len(rest))
            return (*rest[:index], *taken, *rest[index:])

        return self._put(put, sticky)

    def arrange(self, items: Sequence[Piece], *, policy: str, why: str) -> Draft:
        """Show transient items that were inserted at one place in this order, in the slots they fill.

        Who made an item and why stays said; the committed table never has them. Raises `PolicyError` for
        history, for what is committed, and for items of different places.
        """
        self._reasoned(policy, why)
        for item in items:
            if item not in self.pieces or not item.is_inserted or item in self.sticky:
                raise PolicyError(
                    f"{policy} may not move {item.handle}: it was not made for this call"
                )
        if len({item.start for item in items}) > 1:
            raise PolicyError(f"{policy}: items of different places cannot change places")
        waiting = iter([item.changed(why=f"{item.why}; {policy}: {why}") for item in items])
        pieces = tuple(next(waiting) if piece in items else piece for piece in self.pieces)
        return self.changed(pieces=pieces)

    # -- beside the pieces ---------------------------------------------------------------------

    def note(self, text: str) -> Draft:
        """The same draft with a remark for the ledger that concerns the whole call."""
        return self if text in self.notes else self.changed(notes=(*self.notes, text))

    def with_tools(self, tools: tuple[Tool, ...]) -> Draft:
        """The same tools in another order."""
        return self.changed(tools=tools)

    def with_cache_points(self, points: tuple[tuple[int, str, str], ...]) -> Draft:
        """Points after which the provider is asked to remember the prefix."""
        return self.changed(cache_points=points)

    # -- inner ---------------------------------------------------------------------------------

    def _reasoned(self, policy: str, why: str) -> None:
        if not policy or not why:
            raise PolicyError("an edit needs a policy and a reason: give both policy and why")

    def _refuse(self, start: int, stop: int, policy: str) -> None:
        guard = self.is_protected(start, stop)
        if guard is not None:
            raise PolicyError(
                f"{policy} may not change {entry_handle(start, stop)}: "
                f"{entry_handle(guard.start, guard.stop)} is {guard.why}"
            )
        for piece in self.pieces:
            if piece.pinned and piece.start < stop and start < piece.stop:
                raise PolicyError(f"{policy} may not change {piece.handle}: it is pinned")

    def _edit(self, start: int, stop: int, change: Change, sticky: bool) -> Draft:
        return self._put(lambda pieces: edit(pieces, start, stop, self.log, change), sticky)

    def _put(self, put: Callable[[Sequence[Piece]], tuple[Piece, ...]], sticky: bool) -> Draft:
        kept = put(self.sticky) if sticky else self.sticky
        return self.changed(pieces=put(self.pieces), sticky=kept)
