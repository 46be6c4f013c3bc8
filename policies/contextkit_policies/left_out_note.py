"""Left-out note: where history was dropped, one message says what was seen there and how to get it back.

It names the handles of what left, the last verdict lines, and the names that were mentioned most
and stand nowhere else in the call, the newest first among equals. It is written anew only when more
has left, in the same step that moved the prefix anyway, so it costs no move of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.messages import Message, text_message
from contextkit.piece import Piece, entry_handle
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _gist as gists

REACH = 8
"""Windows of left-out history that are read for names: what lies further back has its handle only."""
BLOCK = 64
SMALLEST = 48
"""Tokens under which a note is not worth its place."""
HANDLES = 6
"""Ranges that are named apart; more are named together, from the first to the last."""


class LeftOutNote(Policy):
    """Say, where history was dropped, which names and verdicts were seen there, and its handles."""

    kind: ClassVar[str] = "left_out_note"
    stage: ClassVar[Stage] = Stage.SHRINK

    share: float = Field(
        default=0.1, gt=0, lt=1, description="The most of the input limit that the note takes"
    )

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Write the note where it is missing or tells too little; leave it out where nothing fits."""
        gone = _gone(draft.pieces)
        note = next((p for p in draft.pieces if p.is_inserted and p.policy == self.kind), None)
        told = _handles(gone)
        if note is not None and note.detail == told and draft.upper_tokens <= draft.limit_tokens:
            return draft
        bare = draft if note is None else draft.remove(note)
        room = min(self.share * bare.limit_tokens, bare.limit_tokens - bare.upper_tokens)
        if not gone or room < SMALLEST:
            return bare
        message = self._write(bare, gone, told, int(room))
        if message is None:
            return bare
        return bare.insert(
            gone[0][0],
            (message,),
            section="notes",
            policy=self.kind,
            why=f"what was seen in {told}, which left",
            sticky=True,
            detail=told,
        )

    def _write(
        self, draft: Draft, gone: list[tuple[int, int]], told: str, room: int
    ) -> Message | None:
        """The note with as many names as `room` tokens hold, or None where not even its head fits."""
        lines, names = _seen(draft, gone)
        head = f"[Left out of this call to make room: {told}. Seen there:]"
        chars = room * 4
        while chars > len(head):
            rest = gists.fill(names, chars - len(head) - sum(map(len, lines)))
            message = text_message("user", "\n".join(part for part in (head, *lines, rest) if part))
            if draft.upper(draft.counter.measure(message)) <= room:
                return message
            chars = chars * 9 // 10
        return None


def _gone(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """The ranges that are left out, neighbours as one, whoever dropped them and for what reason."""
    ranges: list[tuple[int, int]] = []
    for piece in pieces:
        if piece.shown != () or piece.is_inserted:
            continue
        if ranges and ranges[-1][1] == piece.start:
            ranges[-1] = (ranges[-1][0], piece.stop)
        else:
            ranges.append((piece.start, piece.stop))
    return ranges


def _handles(gone: list[tuple[int, int]]) -> str:
    if len(gone) > HANDLES:
        return entry_handle(gone[0][0], gone[-1][1])
    return ", ".join(entry_handle(*span) for span in gone)


def _seen(draft: Draft, gone: list[tuple[int, int]]) -> tuple[list[str], list[str]]:
    """The last verdict lines of what left, and its names, the most mentioned first."""
    shown = gists.names_shown(draft)
    lines: list[str] = []
    mentions: Counter[str] = Counter()
    for entry in _newest_first(draft, gone):
        message = entry.message
        if len(lines) < gists.VERDICTS:
            for result in message.tool_results:
                lines += [line for line in gists.verdicts(result.text, 1) if line not in lines]
        for said in gists.names_said(message):
            mentions.update(said.keys())
            if message.role == "assistant":
                mentions.update(said.keys())
    new = [name for name in mentions if name not in shown]
    # Insertion order is newest first, and the sort is stable.
    return lines[::-1], sorted(new, key=mentions.__getitem__, reverse=True)


def _newest_first(draft: Draft, gone: list[tuple[int, int]]) -> Iterator[Entry]:
    room = REACH * draft.limit_tokens
    for start, stop in reversed(gone):
        while stop > start and room > 0:
            low = max(start, stop - BLOCK)
            yield from reversed(draft.log.entries(low, stop))
            room -= draft.upper(draft.log.span(low, stop))
            stop = low
