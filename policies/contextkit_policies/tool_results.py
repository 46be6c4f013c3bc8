"""Tool results: what an agent has read long ago need not stand in every call.

Two kinds of edits, by what they cost under prompt caching. A result that is *new* may be shortened for
free: no call has sent it yet, so equal results become a pointer and repeated lines are collapsed on
arrival. An *old* result stands inside the cached prefix: those are cleared together, in one step, when
the call passes the high water and the step frees enough to pay for the prefix it moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.messages import Message
from contextkit.piece import Piece, entry_handle
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _elide as elide

SAME = "same:"


class ToolResults(Policy):
    """Deduplicate, collapse, clear and offload tool results; each keeps a handle to its original."""

    kind: ClassVar[str] = "tool_results"
    stage: ClassVar[Stage] = Stage.SHRINK

    keep_recent: int = Field(default=3, ge=0, description="Newest results that are never cleared")
    offload_over_tokens: int = Field(
        default=512, ge=32, description="Larger results leave a preview, smaller ones a stub"
    )
    preview_tokens: int = Field(default=96, ge=16, description="About the size of a preview")
    high_water: float = Field(
        default=0.8, ge=0, le=1, description="Share of the input limit at which clearing starts"
    )
    min_gain: float = Field(
        default=0.2, ge=0, le=1, description="Share of the input limit that a step must free"
    )
    deduplicate: bool = Field(default=True, description="Show equal results once")
    collapse: bool = Field(default=True, description="Show runs of equal lines once")

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Shorten what is new, clear what is old in one step, offload what would never fit."""
        water = self.high_water / 2 if turn.cold else self.high_water  # then clearing is free
        pressed = draft.upper_tokens > water * draft.limit_tokens
        if not pressed and not _has_news(draft, turn):
            return draft
        entries = _results(draft)
        draft = self._restore(draft, entries)
        draft = self._shorten_new(draft, turn, entries)
        if draft.upper_tokens > water * draft.limit_tokens:
            draft = self._clear_old(draft, entries)
        return self._offload_until_it_fits(draft, turn, entries)

    # -- on arrival ------------------------------------------------------------------------------

    def _shorten_new(self, draft: Draft, turn: Turn, entries: list[Entry]) -> Draft:
        if not entries or entries[-1].seq < turn.new_from:
            return draft
        for at, entry in enumerate(entries):
            if entry.seq < turn.new_from:
                continue
            original = _equal_before(entries, at) if self.deduplicate else None
            if original is not None:
                draft = self._point_back(draft, entry, original)
            elif self.collapse:
                draft = self._collapse(draft, entry)
        return draft

    def _point_back(self, draft: Draft, entry: Entry, original: int) -> Draft:
        handle = entry_handle(original, original + 1)
        text = f"[Same result as before, see {handle} above.]"
        message = elide.with_results(entry.message, lambda result: text)
        return self._put(
            draft, entry, message, f"equal to {handle}, which is in the call", f"{SAME}{original}"
        )

    def _collapse(self, draft: Draft, entry: Entry) -> Draft:
        message = elide.with_results(entry.message, elide.collapsed)
        if message == entry.message:
            return draft
        return self._put(draft, entry, message, "runs of equal lines are shown once")

    def _restore(self, draft: Draft, entries: list[Entry]) -> Draft:
        """A pointer whose original has left the call shows the result again."""
        shown = {entry.seq for entry in entries}
        for piece in [p for p in draft.pieces if p.detail.startswith(SAME)]:
            if int(piece.detail.removeprefix(SAME)) not in shown:
                draft = draft.keep(
                    piece.start,
                    piece.stop,
                    policy=self.kind,
                    why="the result it pointed to has left the call",
                )
        return draft

    # -- in steps --------------------------------------------------------------------------------

    def _clear_old(self, draft: Draft, entries: list[Entry]) -> Draft:
        if not self._worth_a_look(draft, entries):
            return draft
        old = entries[: max(0, len(entries) - self.keep_recent)]
        pinned = [piece for piece in draft.pieces if piece.pinned]
        edits: list[tuple[Entry, Message]] = []
        room, gain = draft.limit_tokens, 0
        for entry in reversed(old):
            if room <= 0:
                break
            message = None if _is_held(draft, pinned, entry.seq) else self._shorter(draft, entry)
            if message is not None:
                edits.append((entry, message))
                tokens = draft.upper(draft.counter.measure(message))
                room -= tokens
                gain += draft.upper(entry.measure) - tokens
        pressing = draft.upper_tokens > draft.limit_tokens
        if not edits or (gain < self.min_gain * draft.limit_tokens and not pressing):
            return draft
        edits.reverse()
        large = [edit for edit in edits if self._is_large(draft, edit[0])]
        small = [edit for edit in edits if not self._is_large(draft, edit[0])]
        return self._put_each(self._put_each(draft, large, "offloaded"), small, "cleared")

    def _put_each(self, draft: Draft, edits: list[tuple[Entry, Message]], verb: str) -> Draft:
        """All of them in one pass, but for those that were shortened further on arrival."""
        forms = {p.start: p.measure for p in draft.pieces if p.shown and not p.is_inserted}
        changes = [
            (entry.seq, entry.seq + 1, (message,))
            for entry, message in edits
            if entry.seq not in forms
            or draft.upper(draft.counter.measure(message)) < draft.upper(forms[entry.seq])
        ]
        if not changes:
            return draft
        why = f"{verb}: older than the newest {self.keep_recent} results, with others in one step"
        return draft.replace_each(changes, policy=self.kind, why=why, even_protected=True)

    def _worth_a_look(self, draft: Draft, entries: list[Entry]) -> bool:
        """Whether the old results together are large enough for a step; cheap, asked every turn."""
        old = entries[: max(0, len(entries) - self.keep_recent)]
        most = sum(draft.upper(entry.measure) for entry in old)
        return most >= self.min_gain * draft.limit_tokens or draft.upper_tokens > draft.limit_tokens

    def _shorter(self, draft: Draft, entry: Entry) -> Message | None:
        """The stub or preview of a result, or None where it would not be shorter."""
        tokens = draft.upper(entry.measure)
        handle = entry_handle(entry.seq, entry.seq + 1)
        room = self.preview_tokens if self._is_large(draft, entry) else None
        message = elide.short_form(entry.message, handle, tokens, room)
        return message if draft.upper(draft.counter.measure(message)) < tokens else None

    def _is_large(self, draft: Draft, entry: Entry) -> bool:
        return draft.upper(entry.measure) > self.offload_over_tokens

    # -- when nothing else helps -----------------------------------------------------------------

    def _offload_until_it_fits(self, draft: Draft, turn: Turn, entries: list[Entry]) -> Draft:
        """Results that the call must hold but cannot: the largest leave a preview, until it fits.

        At the first attempt other policies are trusted to drop what they may.
        """
        if draft.upper_tokens <= draft.limit_tokens:
            return draft
        free = 0
        if turn.attempt == 0:
            free = sum(
                draft.upper(draft.log.span(low, high) if piece.is_log else piece.measure)
                for piece, low, high in draft.free(0, draft.log.stop)
            )
        over = draft.upper_tokens - free - draft.limit_tokens
        held = [e for e in entries if draft.is_protected(e.seq, e.seq + 1)]
        for entry in sorted(held, key=lambda e: -draft.upper(e.measure)):
            if over <= 0:
                break
            tokens = _shown_tokens(draft, entry)
            if tokens <= self.preview_tokens:
                continue
            handle = entry_handle(entry.seq, entry.seq + 1)
            room = max(self.preview_tokens, tokens - over - draft.limit_tokens // 8)
            message = self._fitting(draft, entry, handle, room, tokens - over)
            why = "too large for the window: a preview stands for it"
            before = draft.upper_tokens
            draft = self._put(draft, entry, message, why)
            over -= before - draft.upper_tokens
        return draft

    def _fitting(self, draft: Draft, entry: Entry, handle: str, room: int, most: int) -> Message:
        """The largest preview found within `most` tokens, from `room` tokens downwards."""
        tokens = draft.upper(entry.measure)
        while True:
            message = elide.preview(entry.message, handle, tokens, room)
            if room <= self.preview_tokens or draft.upper(draft.counter.measure(message)) <= most:
                return message
            room = max(self.preview_tokens, room * 3 // 4)

    def _put(
        self, draft: Draft, entry: Entry, message: Message, why: str, detail: str = ""
    ) -> Draft:
        longer = draft.upper(draft.counter.measure(message)) >= _shown_tokens(draft, entry)
        if longer or _covering(draft, entry.seq).pinned:
            return draft
        return draft.replace(
            entry.seq,
            entry.seq + 1,
            (message,),
            policy=self.kind,
            why=why,
            detail=detail,
            even_protected=True,
        )


def _has_news(draft: Draft, turn: Turn) -> bool:
    """Whether results came in since the call before, or a pointer may have lost its original."""
    if draft.log.stop - turn.new_from > BLOCK:
        return True
    new = draft.log.entries(turn.new_from, draft.log.stop)
    return any(entry.message.tool_results for entry in new) or any(
        piece.detail for piece in draft.pieces
    )


def _results(draft: Draft) -> list[Entry]:
    """Entries with tool results that are shown as they were said, oldest first.

    From the newest back, and no further than what the call could hold: a log of any length costs
    what its window costs. Whatever lies behind has to leave by another policy anyway.
    """
    found: list[Entry] = []
    seen = 0
    for piece in reversed(draft.pieces):
        if not piece.is_log:
            continue
        stop = piece.stop
        while stop > piece.start and seen <= REACH * draft.limit_tokens:
            start = max(piece.start, stop - BLOCK)
            entries = draft.log.entries(start, stop)
            found.extend(e for e in reversed(entries) if e.message.tool_results)
            seen += draft.upper(draft.log.span(start, stop))
            stop = start
    return found[::-1]


REACH = 8
"""Windows of history that are looked at: beyond, results are too far back to stay."""
BLOCK = 64


def _equal_before(entries: Sequence[Entry], at: int) -> int | None:
    """`seq` of the first result before the one at `at` that says the same; None for what is small."""
    results = entries[at].message.tool_results
    if max(len(result.text) for result in results) <= elide.SMALL:
        return None
    for entry in entries[:at]:
        earlier = entry.message.tool_results
        if len(earlier) == len(results) and all(
            one.content == other.content for one, other in zip(earlier, results, strict=True)
        ):
            return entry.seq
    return None


def _is_held(draft: Draft, pinned: Sequence[Piece], seq: int) -> bool:
    if any(piece.start <= seq < piece.stop for piece in pinned):
        return True
    return draft.is_protected(seq, seq + 1) is not None


def _covering(draft: Draft, seq: int) -> Piece:
    return next(p for p in draft.pieces if p.start <= seq < p.stop)


def _shown_tokens(draft: Draft, entry: Entry) -> int:
    """What an entry takes in the form in which the call shows it."""
    piece = _covering(draft, entry.seq)
    return draft.upper(entry.measure if piece.is_log else piece.measure)
