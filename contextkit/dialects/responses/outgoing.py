"""What is sent to the Responses API, from messages of any origin.

Reasoning items go back as they came, and only where something of the same turn follows them. Item
ids are sent only behind such reasoning: the provider ties an id to the reasoning that made it,
and refuses the one without the other. Reasoning of other dialects is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from contextkit.dialects.fields import known_fields, safe_id, safe_name, stand_in
from contextkit.dialects.responses.form import (
    CALLS,
    NEXT,
    OUTPUTS,
    dump_block,
    dump_reasoning,
    file_body,
)
from contextkit.dialects.turns import (
    Turn,
    blank,
    is_responses_reasoning,
    others_of,
    results_of,
    turns,
)
from contextkit.messages import (
    Extra,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from contextkit.tools import Tool

_ID_LIMIT = 64
_REASONING = ("type", "id", "status", "content")
_CALL = ("caller", "namespace", "async")
_TOOL = ("strict", "allowed_callers", "defer_loading", "output_schema", "async")


def request(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> dict[str, Any]:
    """`input` and, where there are any, `tools` of a Responses request."""
    sent = tools_of(tools)
    return {"input": items_of(messages, messages)} | ({"tools": sent} if sent else {})


def items_of(messages: Sequence[Message], among: Sequence[Message]) -> list[dict[str, Any]]:
    """The input items of messages that stand among others, which hold the calls of their results."""
    items: list[dict[str, Any]] = []
    answers = any(message.tool_results for message in messages)
    calls = (c for m in (among if answers else ()) for c in m.tool_calls)
    custom = {c.id for c in calls if c.extra.get("type") == "custom"}
    for ours, turn in turns(messages):
        items += _assistant_items(turn) if ours else _other_items(turn, custom)
    return items


def _other_items(turn: Turn, custom: set[str]) -> Iterator[dict[str, Any]]:
    for _, result in results_of(turn):
        yield _output(result, OUTPUTS[result.call_id in custom])
    for _, message in turn:
        if message.shape == "item":
            yield from (dict(p.value) for p in message.parts if isinstance(p, OpaquePart))
            continue
        parts = others_of(message)
        if message.role in ("system", "developer"):
            parts = [part for part in parts if isinstance(part, TextPart)]
        blocks = [_block(part) for part in parts]
        if blocks:
            yield {"role": message.role, "content": _content(blocks, message.shape)}


def _content(blocks: list[dict[str, Any]], shape: str) -> Any:
    if len(blocks) == 1 and shape != "list" and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _assistant_items(turn: Turn) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    reasoned = False
    for _, message in turn:
        for kind, run in groupby(message.parts, key=type):
            parts = list(run)
            if kind is TextPart:
                for extra, texts in _messages(message, parts):
                    items += _said(extra, texts, reasoned)
                continue
            for part in parts:
                items += _item(part, reasoned)
                reasoned = reasoned or (
                    isinstance(part, ReasoningPart) and is_responses_reasoning(part)
                )
    while items and items[-1].get("type") == "reasoning":
        items.pop()
    return items


def _item(part: Part, reasoned: bool) -> list[dict[str, Any]]:
    if isinstance(part, ToolCallPart):
        return [_call(part, reasoned)]
    if isinstance(part, ReasoningPart) and is_responses_reasoning(part):
        item = dump_reasoning(part)
        kept = known_fields(item, (*_REASONING, "encrypted_content"))
        return [kept | {"summary": item.get("summary") or []}]
    if isinstance(part, OpaquePart) and part.dialect == "responses":
        return [dict(part.value)]
    return []


def _messages(message: Message, parts: list[Part]) -> list[tuple[Extra, list[TextPart]]]:
    """The messages that the texts of one reply were, each with its other fields."""
    found: list[tuple[Extra, list[TextPart]]] = [(message.extra, [])]
    for part in parts:
        if isinstance(part, TextPart):
            if NEXT in part.extra:
                found.append((part.extra[NEXT], []))
            found[-1][1].append(part)
    return found


def _said(extra: Extra, parts: list[TextPart], reasoned: bool) -> list[dict[str, Any]]:
    parts = [part for part in parts if not blank(part)]
    if not parts:
        return []
    kept = known_fields(extra, ("phase",))
    if reasoned and str(extra.get("id", "")).startswith("msg"):
        ids = {"type": "message", "id": extra["id"]}
        status = extra.get("status") or "completed"
        return [{**ids, "role": "assistant", "status": status, "content": _texts(parts)} | kept]
    more = any(p.extra.get("type") == "refusal" or p.extra.get("annotations") for p in parts)
    content = parts[0].text if len(parts) == 1 and not more else _texts(parts)
    return [{"role": "assistant", "content": content} | kept]


def _texts(parts: list[TextPart]) -> list[dict[str, Any]]:
    return [
        {"type": "refusal", "refusal": part.text}
        if part.extra.get("type") == "refusal"
        else {
            "type": "output_text",
            "text": part.text,
            "annotations": part.extra.get("annotations") or [],
        }
        for part in parts
    ]


def _call(part: ToolCallPart, reasoned: bool) -> dict[str, Any]:
    if "_item" in part.extra:
        return dict(part.extra["_item"])
    kind = "custom_tool_call" if part.extra.get("type") == "custom" else "function_call"
    out = {
        "type": kind,
        "call_id": safe_id(part.id, _ID_LIMIT),
        "name": safe_name(part.name),
        CALLS[kind]: part.arguments,
    }
    ids = ("id", "status") if kind == "function_call" else ("id",)
    return out | known_fields(part.extra, (*ids, *_CALL) if reasoned else _CALL)


def _output(part: ToolResultPart, kind: str) -> dict[str, Any]:
    if "_item" in part.extra:
        return dict(part.extra["_item"])
    output: Any = part.content
    if not isinstance(output, str):
        output = [_block(inner) for inner in output if not blank(inner)] or ""
    out = {"type": kind, "call_id": safe_id(part.call_id, _ID_LIMIT), "output": output}
    return out | known_fields(part.extra, ("caller",))


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text} | _marks(part)
    if isinstance(part, OpaquePart) and part.dialect == "responses":
        return dict(part.value)
    if isinstance(part, ImagePart) and (part.url or part.data or part.extra.get("file_id")):
        shown = dump_block(
            ImagePart(part.url, part.data, part.media_type, part.detail or "auto"), "user"
        )
        return shown | known_fields(part.extra, ("file_id", "prompt_cache_breakpoint"))
    if isinstance(part, FilePart) and (part.data or part.url or _own_file(part)):
        body = file_body(part)
        if part.data:
            body.setdefault("filename", "file")
        return {"type": "input_file"} | body | known_fields(part.extra, ("detail",)) | _marks(part)
    named = stand_in(part) if isinstance(part, ImagePart | FilePart | OpaquePart) else ""
    return {"type": "input_text", "text": named}


def _own_file(part: FilePart) -> bool:
    return (part.file_id or "").startswith("file-")


def _marks(part: TextPart | FilePart) -> dict[str, Any]:
    return known_fields(part.extra, ("prompt_cache_breakpoint",))


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Those of the tools that go to this provider, as it wants them."""
    return [_tool(tool) for tool in tools if tool.dialect in ("", "responses")]


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.dialect:
        return dict(tool.extra)
    out: dict[str, Any] = {"type": "function", "name": tool.name, "parameters": tool.parameters}
    if tool.description:
        out["description"] = tool.description
    return out | {"strict": bool(tool.extra.get("strict"))} | known_fields(tool.extra, _TOOL)
