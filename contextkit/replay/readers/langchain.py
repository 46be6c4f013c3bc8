"""LangChain messages, as `messages_to_dict`, `dumpd` (with `lc`) or their bare fields write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from contextkit.replay.readers.building import Wire, build, questions, table, tables
from contextkit.replay.readers.talks import cost_of
from contextkit.replay.recording import Recording
from contextkit.usage import Usage

_ROLES = {
    "human": "user", "HumanMessage": "user", "ai": "assistant", "AIMessage": "assistant",
    "AIMessageChunk": "assistant", "system": "system", "SystemMessage": "system", "tool": "tool",
    "ToolMessage": "tool", "HumanMessageChunk": "user", "ToolMessageChunk": "tool",
}  # fmt: skip


def is_message(fields: Wire) -> bool:
    """Whether a value is one LangChain message."""
    kind, body = _opened(fields)
    return kind in _ROLES and "content" in body and "role" not in fields


def is_own(fields: Wire) -> bool:
    """Whether a value holds a list of LangChain messages."""
    listed = tables(fields.get("messages"))
    return bool(listed) and is_message(listed[0])


def read(fields: Wire, name: str) -> Iterator[Recording]:
    """The recording of one list of messages."""
    wires: list[Any] = list(fields["messages"])
    cost, currency = cost_of(fields)
    yield build(
        name,
        "langchain",
        (_said(wire) for wire in wires),
        tools=fields.get("tools") or (),
        model=next((m for wire in wires if (m := _model(wire))), ""),
        cost=cost,
        currency=currency,
        questions=questions(fields.get("questions")),
    )


def _opened(value: Any) -> tuple[str, Wire]:
    """The kind of a message and its fields, whichever way it was wrapped."""
    fields = table(value)
    if "lc" in fields and "kwargs" in fields:
        path: list[Any] = fields["id"] if isinstance(fields.get("id"), list) else []
        return str(path[-1]) if path else "", table(fields["kwargs"])
    if "data" in fields and "type" in fields:
        return str(fields["type"]), table(fields["data"])
    return str(fields.get("type", "")), fields


def _said(value: Any) -> tuple[Any, Any, Usage | None]:
    kind, body = _opened(value)
    role = _ROLES.get(kind)
    if role is None:
        return value, None, None
    content = body.get("content")
    if role == "tool":
        result = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        call_id = body.get("tool_call_id")
        return {"role": "tool", "tool_call_id": call_id, "content": result}, _at(body), None
    wire: dict[str, Any] = {"role": role, "content": _content(content)}
    if role == "assistant" and body.get("tool_calls"):
        wire["tool_calls"] = [_call(call) for call in tables(body["tool_calls"])]
    return wire, _at(body), _usage(body.get("usage_metadata"))


def _content(content: Any) -> Any:
    """Text, or its text blocks; calls stand in `tool_calls` as well."""
    if not isinstance(content, list):
        return content
    blocks: list[Any] = []
    for block in cast("list[Any]", content):
        if isinstance(block, str):
            blocks.append({"type": "text", "text": block})
        elif table(block).get("type") in ("text", "image_url"):
            blocks.append(block)
    return blocks


def _call(call: Wire) -> dict[str, Any]:
    body = {"name": call.get("name"), "arguments": json.dumps(call.get("args") or {})}
    return {"id": call.get("id"), "type": "function", "function": body}


def _usage(value: Any) -> Usage | None:
    fields = table(value)
    given = table(fields.get("input_token_details"))
    counts: list[int] = []
    for count in (
        fields.get("input_tokens"),
        fields.get("output_tokens"),
        given.get("cache_read", 0),
        given.get("cache_creation", 0),
    ):
        if not isinstance(count, int) or count < 0:
            return None
        counts.append(count)
    return Usage(*counts)


def _at(body: Wire) -> Any:
    found = table(body.get("response_metadata"))
    return body.get("timestamp", found.get("created_at", found.get("created")))


def _model(value: Any) -> str:
    found = table(_opened(value)[1].get("response_metadata"))
    return str(found.get("model_name") or found.get("model") or "")
