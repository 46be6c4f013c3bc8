"""Calls made by hand, for backends that are tested without a manager."""

from __future__ import annotations

from typing import Any, cast

from contextkit.call import CachePoint, Call
from contextkit.dialects import parse_messages, parse_tools

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def call_of(
    messages: Any,
    *,
    tools: tuple[dict[str, Any], ...] = (),
    points: tuple[CachePoint, ...] = (),
    max_output_tokens: int = 256,
) -> Call:
    return Call(
        messages=tuple(parse_messages(messages)),
        tools=tuple(parse_tools(tools)),
        input_tokens=0,
        upper_tokens=0,
        max_output_tokens=max_output_tokens,
        cache_points=points,
        fingerprint="",
        ledger=cast("Any", None),
    )
