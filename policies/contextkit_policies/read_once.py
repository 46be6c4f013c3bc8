"""Read once: a large tool result stands in full in the call that reads it, afterwards as its gist.

Under a prompt cache the end of a call is the cheap place to edit: what stands there was written by no
earlier call. A large new result is therefore sent in full once, behind the last cache point; what is
committed, and cached from the next call on, is its gist: verdict lines and names, with the handle of
the original. While the call is small against its limit nothing is shortened, because nothing presses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.messages import ToolResultPart
from contextkit.piece import entry_handle
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _gist as gists


class ReadOnce(Policy):
    """Show a large tool result in full once, then as its names and verdict lines."""

    kind: ClassVar[str] = "read_once"
    stage: ClassVar[Stage] = Stage.SHRINK

    over_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Results larger than this share of the input limit are shown once",
    )
    fill: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of the input limit that a call must have reached before any is",
    )
    keep_share: float = Field(
        default=0.5, gt=0, lt=1, description="Share of a result that its gist may take"
    )
    gist_tokens: int = Field(default=1000, ge=16, description="The most that a gist takes")

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Commit the gist of each large new result; the newest batch is still shown in full."""
        if draft.upper_tokens <= self.fill * draft.limit_tokens:
            return draft
        newest = draft.log.entry(draft.log.stop - 1).group
        new = list(self._large(draft, turn))
        if not new:
            return draft
        known = gists.names_shown(draft, {entry.seq for entry in new})
        for entry in new:
            draft = self._shorten(draft, entry, known, once=entry.group == newest)
        return draft

    def _large(self, draft: Draft, turn: Turn) -> Iterator[Entry]:
        """New results that are worth it, newest first, no further back than the call can hold."""
        least = self.over_share * draft.limit_tokens
        room = draft.limit_tokens
        for piece in reversed(draft.pieces):
            if not piece.is_log or piece.pinned or piece.is_inserted:
                continue
            for seq in range(piece.stop - 1, max(piece.start, turn.new_from) - 1, -1):
                entry = draft.log.entry(seq)
                tokens = draft.upper(entry.measure)
                room -= tokens
                if room < 0 and entry.group != draft.log.entry(draft.log.stop - 1).group:
                    return
                if tokens > least and _is_plain(entry):
                    yield entry

    def _shorten(self, draft: Draft, entry: Entry, known: set[str], once: bool) -> Draft:
        tokens = draft.upper(entry.measure)
        handle = entry_handle(entry.seq, entry.seq + 1)
        room = min(self.gist_tokens, int(tokens * self.keep_share))
        message = gists.gist(entry.message, handle, tokens, room, known)
        known.update(*gists.names_said(message))
        if draft.upper(draft.counter.measure(message)) >= tokens:
            return draft
        why = f"over {self.over_share:.0%} of the limit and read: its gist stands for it"
        span = entry.seq, entry.seq + 1
        draft = draft.replace(*span, (message,), policy=self.kind, why=why, even_protected=True)
        if not once:
            return draft
        now = "large and new: in full in the call that reads it, as its gist from the next one on"
        return draft.keep(*span, policy=self.kind, why=now, sticky=False, volatile=True)


def _is_plain(entry: Entry) -> bool:
    """Whether an entry is tool results of nothing but text; images have no gist."""
    parts = entry.message.parts
    return bool(parts) and all(
        isinstance(p, ToolResultPart) and isinstance(p.content, str) for p in parts
    )
