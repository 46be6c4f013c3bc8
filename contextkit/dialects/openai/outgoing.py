"""What is sent to Chat Completions, from messages of any origin.

Only fields the provider knows are sent. Adjacent assistant messages become one where the first
made calls, because its results must follow directly. Images of tool results go into a user
message after the batch: a tool message holds text. Reasoning is left out, but for
`reasoning_content` that came from this dialect (such servers want it back within a tool loop).
Blocks of other providers are left out, or named in brackets where a user or a tool sent them; a
provider's own tools go to that provider only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from contextkit.dialects.fields import FIELD, image_url, known_fields, safe_id, safe_name, stand_in
from contextkit.dialects.openai.blocks import dump_block, file_body
from contextkit.dialects.turns import Turn, blank, others_of, results_of, turns
from contextkit.messages import (
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

IMAGES_OF_RESULTS = "(Images from the tool results above.)"

_ID_LIMIT = 40
_NAME = re.compile(r"[^\s<|\\/>]{1,64}")


def request(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> dict[str, Any]:
    """`messages` and, where there are any, `tools` of a chat completion request."""
    wire: list[dict[str, Any]] = []
    for ours, turn in turns(messages):
        if ours:
            for _, message in turn:
                _add_assistant(wire, message)
        else:
            _add_turn(wire, turn)
    sent = tools_of(tools)
    return {"messages": wire} | ({"tools": sent} if sent else {})


def _add_turn(wire: list[dict[str, Any]], turn: Turn) -> None:
    images: list[Part] = []
    for _, result in results_of(turn):
        wire.append(_result(result))
        if not isinstance(result.content, str):
            images += [p for p in result.content if isinstance(p, ImagePart) and image_url(p)]
    if images:
        content = [dump_text(IMAGES_OF_RESULTS), *(_block(image) for image in images)]
        wire.append({"role": "user", "content": content})
    for _, message in turn:
        parts = others_of(message)
        if message.role != "user":
            parts = [part for part in parts if isinstance(part, TextPart)]
        if parts:
            content = _content([_block(part) for part in parts], message.shape)
            wire.append(_named({"role": message.role, "content": content}, message))


def _result(part: ToolResultPart) -> dict[str, Any]:
    content: Any = part.content
    if not isinstance(content, str):
        inner = [p for p in content if not blank(p)]
        content = [_block(p) if isinstance(p, TextPart) else dump_text(_name_of(p)) for p in inner]
    return {
        "role": "tool",
        "tool_call_id": safe_id(part.call_id, _ID_LIMIT),
        "content": content or "",
    }


def _name_of(part: Part) -> str:
    return stand_in(part) if isinstance(part, ImagePart | FilePart | OpaquePart) else ""


def _add_assistant(wire: list[dict[str, Any]], message: Message) -> None:
    out = _assistant(message)
    if not (out["content"] or out.keys() & {"tool_calls", "refusal", "audio"}):
        return
    last = wire[-1] if wire else {}
    if not last.get("tool_calls"):
        wire.append(out)
        return
    last["content"] = _join(last["content"], out["content"])
    if "tool_calls" in out:
        last["tool_calls"] += out["tool_calls"]
    for field in ("reasoning_content", "refusal"):
        if field in out:
            last[field] = "\n".join(filter(None, (last.get(field), out[field])))


def _assistant(message: Message) -> dict[str, Any]:
    beside = [part for part in message.parts if isinstance(part, TextPart) and FIELD in part.extra]
    blocks = [
        dump_text(part.text, part)
        for part in message.parts
        if isinstance(part, TextPart) and FIELD not in part.extra and not blank(part)
    ]
    out = {"role": "assistant", "content": _content(blocks, message.shape) if blocks else None}
    if message.tool_calls:
        out["tool_calls"] = [_call(call) for call in message.tool_calls]
    if beside:
        out["refusal"] = "\n".join(part.text for part in beside)
    for part in message.parts:
        if isinstance(part, ReasoningPart) and part.extra.get(FIELD) == "reasoning_content":
            out["reasoning_content"] = part.text
        elif isinstance(part, OpaquePart) and part.value.get(FIELD) == "audio":
            out["audio"] = {"id": part.value["audio"].get("id")}
    return _named(out | known_fields(message.extra, ("reasoning_details",)), message)


def _named(out: dict[str, Any], message: Message) -> dict[str, Any]:
    if message.name and _NAME.fullmatch(message.name):
        out["name"] = message.name
    return out


def _join(left: Any, right: Any) -> Any:
    if not (left and right):
        return left or right
    both = ([dump_text(c)] if isinstance(c, str) else list(c) for c in (left, right))
    return [block for blocks in both for block in blocks]


def _call(part: ToolCallPart) -> dict[str, Any]:
    custom = part.extra.get("type") == "custom"
    body = {"name": safe_name(part.name), "input" if custom else "arguments": part.arguments}
    kind = "custom" if custom else "function"
    out = {"id": safe_id(part.id, _ID_LIMIT), "type": kind, kind: body}
    return out | known_fields(part.extra, ("extra_content",))


def _content(blocks: list[dict[str, Any]], shape: str) -> Any:
    if len(blocks) == 1 and shape != "list" and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return dump_text(part.text) | _marks(part)
    if isinstance(part, OpaquePart) and part.dialect == "openai":
        return dict(part.value)
    if isinstance(part, ImagePart) and (url := image_url(part)):
        image = {"url": url} | ({"detail": part.detail} if part.detail else {})
        return {"type": "image_url", "image_url": image} | _marks(part)
    if isinstance(part, FilePart) and (part.data or (part.file_id or "").startswith("file-")):
        body = {"filename": "file"} | file_body(part) if part.data else {"file_id": part.file_id}
        return {"type": "file", "file": body} | _marks(part)
    return dump_text(_name_of(part))


def dump_text(text: str, part: TextPart | None = None) -> dict[str, Any]:
    """A text block; a refusal stays one."""
    if part is not None and part.extra.get("type") == "refusal":
        return dump_block(TextPart(text, {"type": "refusal"}))
    return {"type": "text", "text": text} | (_marks(part) if part is not None else {})


def _marks(part: TextPart | ImagePart | FilePart) -> dict[str, Any]:
    return known_fields(part.extra, ("prompt_cache_breakpoint",))


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Those of the tools that go to this provider, as it wants them."""
    return [_tool(tool) for tool in tools if tool.dialect in ("", "openai")]


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.dialect:
        return dict(tool.extra)
    body: dict[str, Any] = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    if tool.parameters is not None:
        body["parameters"] = tool.parameters
    return {"type": "function", "function": body | known_fields(tool.extra, ("strict",))}
