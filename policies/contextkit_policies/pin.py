"""Pin: messages that stay in every call, word for word, whatever else leaves."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.errors import UnknownHandle
from contextkit.log import Entry
from contextkit.messages import Role
from contextkit.piece import parse_handle
from contextkit.policy import Policy, Stage, Turn

BLOCK = 512
"""Entries looked at in one go, so that a long import is not held in memory at once."""


class Pin(Policy):
    """Keep messages by handle, by role or by what they contain; a batch is pinned whole.

    Messages are looked at once, when they are new; `handles` are looked up on every turn.
    """

    kind: ClassVar[str] = "pin"
    stage: ClassVar[Stage] = Stage.SHRINK

    contains: tuple[str, ...] = Field(
        default=(), description="Pin messages with any of these texts"
    )
    roles: tuple[Role, ...] = Field(default=(), description="Pin messages of these roles")
    handles: tuple[str, ...] = Field(
        default=(), description="Pin these entries, such as m3 or m3-7"
    )

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Mark what matches; entries that had left are shown again."""
        for handle in self.handles:
            span = parse_handle(handle)
            if span is None or span[1] > draft.log.stop:
                raise UnknownHandle(f"pin.handles: {handle!r} names nothing in this thread")
            draft = self._pin(draft, *span, why=f"pinned by handle {handle}")
        if self.contains or self.roles:
            for start in range(turn.new_from, draft.log.stop, BLOCK):
                for entry in draft.log.entries(start, min(start + BLOCK, draft.log.stop)):
                    why = self._matches(entry)
                    if why:
                        draft = self._pin(draft, entry.seq, entry.seq + 1, why=why)
        return draft

    def _matches(self, entry: Entry) -> str:
        if entry.message.role in self.roles:
            return f"pinned: role {entry.message.role}"
        for text in self.contains:
            if text in entry.message.text:
                return f"pinned: contains {text!r}"
        return ""

    def _pin(self, draft: Draft, start: int, stop: int, *, why: str) -> Draft:
        start = draft.log.entry(start).group
        while stop < draft.log.stop and draft.log.entry(stop).group != stop:
            stop += 1
        for piece in draft.pieces:
            if piece.start <= start and stop <= piece.stop and piece.pinned:
                return draft
        for piece in draft.pieces:
            part = piece.start < stop and start < piece.stop
            if piece.shown and part and (piece.start < start or stop < piece.stop):
                again = "shown again: a part of it is pinned"
                draft = draft.keep(piece.start, piece.stop, policy=self.kind, why=again)
        return draft.keep(start, stop, policy=self.kind, why=why, pinned=True)
