"""Tool calls in what a local model wrote: JSON objects, bare or in Hermes' `<tool_call>` tags.

Only a reply that is nothing but calls to tools of this call is read so; any other stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from contextkit.messages import Message, Part, ToolCallPart, text_message
from contextkit_backends.local.load import table

_TAGS = re.compile(r"</?tool_call>")


def reply_message(text: str, tool_names: Collection[str]) -> Message:
    """The assistant's message: tool calls where `text` is calls to these tools, otherwise words."""
    calls = _calls(text, tool_names) if tool_names else ()
    return Message("assistant", calls) if calls else text_message("assistant", text)


def _calls(text: str, tool_names: Collection[str]) -> tuple[Part, ...]:
    decoder = json.JSONDecoder()
    rest = _TAGS.sub("\n", text).strip()
    calls: list[Part] = []
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            return ()
        call = _call(value, len(calls), tool_names)
        if call is None:
            return ()
        calls.append(call)
        rest = rest[end:].lstrip()
    return tuple(calls)


def _call(value: Any, index: int, tool_names: Collection[str]) -> ToolCallPart | None:
    call = table(value)
    if call.get("name") not in tool_names:
        return None
    arguments = call.get("arguments", call.get("parameters", {}))
    if not isinstance(arguments, dict):
        return None
    return ToolCallPart(f"call{index:05d}", call["name"], json.dumps(arguments, ensure_ascii=False))
