"""A request without what has left it: the client's own bytes for every message that stays.

What stays is copied, not written anew, so it reads to the provider's cache as it did before, and the
cost follows the pieces, not the messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contextkit.dialects import anthropic, openai
from contextkit.errors import InvalidMessage
from contextkit.instructions import is_instruction
from contextkit.messages import Message

if TYPE_CHECKING:
    from contextkit.call import Call
    from contextkit.piece import Piece
    from contextkit.server.turns import History

_DUMPS: dict[str, Callable[[Message], dict[str, Any]]] = {
    "/v1/chat/completions": openai.dump,
    "/v1/messages": anthropic.dump,
}
_TURNS = ("user", "assistant")


def is_as_said(call: Call) -> bool:
    """Whether the call shows what was said, all of it and nothing else."""
    reach = 0
    for piece in call.plan.draft.pieces:
        if not _is_said(piece) or piece.start != reach:
            return False
        reach = piece.stop
    return bool(reach == call.plan.draft.log.stop)


def _is_said(piece: Piece) -> bool:
    """Whether a piece shows the request's own messages; its instructions may be later than the log's."""
    return piece.is_log or is_instruction(piece)


def spliced(history: History, call: Call) -> bytes | None:
    """The body with the call's messages in its array; None where it has to be written anew.

    That is where the API has one message in several items, where the head is not as it was, and
    where a message was put in that the array can't hold.
    """
    dump = _DUMPS.get(history.endpoint.path)
    raw, at = history.body.raw, history.body.array_at
    if dump is None or at < 0:
        return None
    pieces = _behind(call.plan.draft.pieces, len(history.head))
    if pieces is None or (history.endpoint.marks and not _are_turns(pieces, call)):
        return None
    try:
        parts = [part for piece in pieces if (part := _part(history, piece, dump))]
    except (InvalidMessage, ValueError):  # a message from elsewhere, which only `request` can write
        return None
    return b"".join((raw[:at], b",".join(parts), raw[history.end(history.n_items) :]))


def _behind(pieces: tuple[Piece, ...], n_head: int) -> list[tuple[int, int, Piece]] | None:
    """The pieces with their ranges in the array; None where the head is not as it was."""
    placed: list[tuple[int, int, Piece]] = []
    reach = 0
    for piece in pieces:
        if reach < n_head and (not _is_said(piece) or piece.start != reach):
            return None
        reach = max(reach, piece.stop)
        start, stop = max(0, piece.start - n_head), piece.stop - n_head
        if stop > start or piece.is_inserted:
            placed.append((start, stop, piece))
    return placed


def _are_turns(pieces: list[tuple[int, int, Piece]], call: Call) -> bool:
    """Whether a user speaks first and nobody but he and the model is put in."""
    put_in = [m for _, _, p in pieces for m in p.shown or ()]
    shown = [p for _, _, p in pieces if p.shown != ()]
    if not shown or any(m.role not in _TURNS for m in put_in) or any(p.is_inserted for p in shown):
        return False
    first = shown[0]
    opening = first.shown[0] if first.shown else call.plan.draft.log.entry(first.start).message
    return bool(opening.role == "user")


def _part(
    history: History, place: tuple[int, int, Piece], dump: Callable[[Message], dict[str, Any]]
) -> bytes:
    start, stop, piece = place
    if _is_said(piece):
        raw = history.body.raw
        before = history.end(start) if start else history.body.array_at
        return raw[raw.index(b"{", before) : history.end(stop)]
    shown = piece.shown or ()
    written = [json.dumps(dump(m), ensure_ascii=False, allow_nan=False) for m in shown]
    return ",".join(written).encode()
