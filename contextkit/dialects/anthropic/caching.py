"""Cache points on the blocks of an Anthropic request, by the provider's rules.

At most four marks a request; an hour's mark never behind a five minutes' one; no mark on
thinking. A point whose block cannot carry a mark moves to the nearest earlier block that can, so
the cached prefix never covers more than was asked. Marks the user wrote count, and go first where
there are too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

from contextkit.call import CachePoint

LIMIT = 4

Placed: TypeAlias = tuple[int, dict[str, Any]]
"""A block, and the index of the message it belongs to (-1 for none)."""

MARK = "cache_control"
_CACHEABLE = ("text", "image", "document", "tool_use", "tool_result", "search_result")


def mark_of(point: CachePoint) -> dict[str, str]:
    """What a block carries under `MARK` for a point behind it."""
    return {"type": "ephemeral"} | ({"ttl": "1h"} if point.ttl == "1h" else {})


def set_cache_points(
    tools: list[dict[str, Any]],
    system: Sequence[Placed],
    blocks: Sequence[Placed],
    points: Sequence[CachePoint],
) -> None:
    """Mark `tools`, the `system` blocks and the messages' `blocks` in place.

    Each block comes with the index of its message; none may be shared with another request.
    """
    rendered = [*system, *blocks]
    head = tools or [block for _, block in system]
    chosen: dict[int, CachePoint] = {}
    for point in points:
        target = _before(rendered, point.after) if point.after else None
        target = target or next(reversed(head), None)
        if target is not None and (point.ttl == "1h" or id(target) not in chosen):
            target[MARK] = mark_of(point)
            chosen[id(target)] = point
    holders = [
        holder for block in (*tools, *(b for _, b in rendered)) for holder in _holders(block)
    ]
    _drop_surplus(holders, chosen)
    _order(holders)


def _before(rendered: Sequence[Placed], after: int) -> dict[str, Any] | None:
    """The last block that can carry a mark at or before the end of message `after - 1`."""
    newest = max((owner for owner, _ in rendered if owner < after), default=None)
    if newest is None:
        return None
    last = max(place for place, (owner, _) in enumerate(rendered) if owner == newest)
    return next((block for _, block in reversed(rendered[: last + 1]) if _can(block)), None)


def _can(block: dict[str, Any]) -> bool:
    kind = str(block.get("type"))
    return kind in _CACHEABLE or kind.endswith(("_tool_use", "_tool_result"))


def _holders(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The block and the blocks in it that carry a mark, in render order."""
    content = block.get("content")
    for inner in cast("list[Any]", content) if isinstance(content, list) else []:
        if isinstance(inner, dict) and cast("dict[str, Any]", inner).get(MARK):
            yield cast("dict[str, Any]", inner)
    if block.get(MARK):
        yield block


def _drop_surplus(holders: list[dict[str, Any]], chosen: dict[int, CachePoint]) -> None:
    """Drop the user's earliest marks, then the earliest points, until four are left."""
    users = [holder for holder in holders if id(holder) not in chosen]
    ours = [holder for holder in holders if id(holder) in chosen]
    for holder in [*users, *ours][: max(0, len(holders) - LIMIT)]:
        del holder[MARK]
    holders[:] = [holder for holder in holders if MARK in holder]


def _order(holders: list[dict[str, Any]]) -> None:
    """Make every hour's mark behind a five minutes' one a five minutes' mark too."""
    short = False
    for holder in holders:
        if short and holder[MARK].get("ttl") == "1h":
            holder[MARK] = {"type": "ephemeral"}
        short = short or holder[MARK].get("ttl") != "1h"
