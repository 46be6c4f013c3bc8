"""Cache points on chat messages in LiteLLM's form, which it hands on to Anthropic's models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from contextkit.dialects.anthropic.caching import MARK, mark_of

if TYPE_CHECKING:
    from contextkit.call import CachePoint, Call

_MARKED = ("system", "user", "tool")


def pointed(request: dict[str, Any], call: Call) -> dict[str, Any]:
    """The request with the call's cache points; as it is for models that take none, or has its own."""
    messages: list[Any] = request["messages"]
    takes = "claude" in str(request.get("model", "")).lower()
    if not takes or len(messages) != len(call.messages) or _has_points(messages):
        return request
    marked = list(messages)
    for point in call.cache_points:
        for index in range(point.after - 1, -1, -1):
            if marked[index] is not messages[index]:
                break
            if (found := _marked(messages[index], point)) is not None:
                marked[index] = found
                break
    return {**request, "messages": marked}


def _has_points(messages: Sequence[Any]) -> bool:
    said = cast("list[dict[str, Any]]", [m for m in messages if isinstance(m, Mapping)])
    contents = [message.get("content") for message in said]
    blocks = [b for c in contents if isinstance(c, list) for b in cast("list[Any]", c)]
    return any(MARK in each for each in (*said, *blocks))


def _marked(message: Any, point: CachePoint) -> dict[str, Any] | None:
    """The message with the point where LiteLLM looks for it: at results and bare texts beside them."""
    if not isinstance(message, Mapping):
        return None
    said = cast("Mapping[str, Any]", message)
    content: Any = said.get("content")
    if not content or said.get("role") not in _MARKED:
        return None
    if said["role"] == "tool" or isinstance(content, str):
        return {**said, MARK: mark_of(point)}
    return {**said, "content": [*content[:-1], {**content[-1], MARK: mark_of(point)}]}
