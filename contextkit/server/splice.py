"""A request without what has left it: the client's own bytes for every message that stays.

What stays is copied, not written anew, so it reads to the provider's cache as it did before, and the
cost follows the pieces, not the messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contextkit.dialects import anthropic
from contextkit.errors import InvalidMessage
from contextkit.instructions import is_instruction

if TYPE_CHECKING:
    from contextkit.adapters._conversations import Begun
    from contextkit.call import Call
    from contextkit.piece import Piece
    from contextkit.server.endpoints import Endpoint
    from contextkit.server.turns import History

_SPEAKERS = ("user", "assistant")


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
    """The items of the body's array for a call; None where they have to be written anew.

    That is where the head is not as it was, and where a message was put in that the array can't hold.
    """
    if history.body.array_at < 0:
        return None
    pieces = _behind(call.plan.draft.pieces, len(history.head))
    if pieces is None or (history.endpoint.marks and not _are_turns(pieces, call)):
        return None
    try:
        parts = [part for piece in pieces if (part := _part(history, piece, call))]
    except (InvalidMessage, ValueError):  # a message from elsewhere, which only `request` can write
        return None
    return b",".join(parts)


def around(
    endpoint: Endpoint, fields: Mapping[str, Any], begun: Begun, items: list[Any]
) -> dict[str, Any]:
    """A body's fields with these items in its array, and with the tools and cache points of the call."""
    call, request = begun.call, {**fields, endpoint.array: items}
    if begun.tools != call.tools:
        request = {name: value for name, value in request.items() if name != "tools"}
        if offered := _tools(endpoint, fields, begun):
            request["tools"] = offered
    if not (endpoint.marks and call.cache_points):
        return request
    # The provider counts a request-wide mark among its four; the call's own points come first.
    request.pop(anthropic.MARK, None)
    return request | anthropic.pointed(request, call.cache_points)


def _tools(endpoint: Endpoint, fields: Mapping[str, Any], begun: Begun) -> list[dict[str, Any]]:
    """The call's tools; those of the body as they were."""
    offered: list[dict[str, Any]] = []
    for tool in begun.call.tools:
        own = tool in begun.tools
        offered += [fields["tools"][begun.tools.index(tool)]] if own else endpoint.tools((tool,))
    return offered


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


def _are_turns(placed: list[tuple[int, int, Piece]], call: Call) -> bool:
    """Whether a user speaks first, nobody else but the model does, and results come ahead of words."""
    pieces = [piece for _, _, piece in placed if piece.shown != ()]
    if any(m.role not in _SPEAKERS for piece in pieces for m in piece.shown or ()):
        return False
    firsts = [p.shown[0] if p.shown else call.plan.draft.log.entry(p.start).message for p in pieces]
    behind = zip(pieces, firsts[1:], strict=False)
    if any(piece.is_inserted and first.tool_results for piece, first in behind):
        return False
    return bool(firsts) and firsts[0].role == "user"


def _part(history: History, place: tuple[int, int, Piece], call: Call) -> bytes:
    start, stop, piece = place
    if _is_said(piece):
        raw = history.body.raw
        before = history.end(start) if start else history.body.array_at
        return raw[raw.index(b"{", before) : history.end(stop)]
    dumped = history.endpoint.dump(piece.shown or (), call)
    written = [json.dumps(each, ensure_ascii=False, allow_nan=False) for each in dumped]
    return ",".join(written).encode()
