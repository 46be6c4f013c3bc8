"""What is sent to the Anthropic API, from messages of any origin.

Leading system messages become `system`; a later one becomes a user text block in `<system>` tags.
Adjacent messages of one role become one; the results of a batch stand first in the user message
behind it. Thinking goes back only with Anthropic's own signature, and never at the end of a
message. Arguments that are not a JSON object (models write such) are sent as {"_raw": "the
text"}; none as {}. Blocks of other providers are left out, or named in brackets where a user or a
tool sent them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

from contextkit.call import CachePoint
from contextkit.dialects.anthropic.arguments import tool_input
from contextkit.dialects.anthropic.caching import Placed, set_cache_points
from contextkit.dialects.anthropic.form import file_source, image_source, reasoning_body, text_body
from contextkit.dialects.fields import FIELD, known_fields, safe_id, safe_name, stand_in
from contextkit.dialects.turns import (
    Turn,
    blank,
    is_responses_reasoning,
    others_of,
    results_of,
    turns,
)
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

CONTINUED = "(The conversation continues.)"
"""The user text put first where the conversation does not begin with a user's."""

_ID_LIMIT = 128
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_TOOL = ("strict", "cache_control", "defer_loading", "eager_input_streaming", "input_examples")


@dataclass(frozen=True, slots=True)
class _WireMessage:
    role: str
    blocks: list[Placed]


def request(
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    cache_points: Sequence[CachePoint] = (),
) -> dict[str, Any]:
    """`messages` and, where there are any, `system` and `tools` of a request, cache points set."""
    system, start = _system(messages)
    wire = _wire(messages, start)
    sent = tools_of(tools)
    set_cache_points(sent, system, [block for m in wire for block in m.blocks], cache_points)
    out: dict[str, Any] = {"system": [block for _, block in system]} if system else {}
    out["messages"] = [{"role": m.role, "content": _content(m.blocks)} for m in wire]
    return out | ({"tools": sent} if sent else {})


def pointed(written: Mapping[str, Any], cache_points: Sequence[CachePoint]) -> dict[str, Any]:
    """`system`, `messages` and `tools` as they are written in a request, cache points set.

    A point is behind so many messages, of which the system's is the first where there is one.
    """
    system, messages = written.get("system"), written["messages"]
    instructed = _listed(system or [])
    owned = [_listed(message["content"]) for message in messages]
    offered = [dict(tool) for tool in written.get("tools") or ()]
    n_head = 1 if instructed else 0
    blocks = [(n_head + i, block) for i, said in enumerate(owned) for block in said if _says(block)]
    heads = [(0, block) for block in instructed if _says(block)]
    set_cache_points(offered, heads, blocks, cache_points)
    out: dict[str, Any] = {"system": _as_written(system, instructed)} if instructed else {}
    pairs = zip(messages, owned, strict=True)
    out["messages"] = [m | {"content": _as_written(m["content"], said)} for m, said in pairs]
    return out | ({"tools": offered} if offered else {})


def _listed(content: Any) -> list[dict[str, Any]]:
    """Text or blocks as blocks, copied as deep as cache points reach."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_copied(block) for block in content]


def _says(block: dict[str, Any]) -> bool:
    """Whether a block is more than empty text, which takes no mark."""
    return block.get("type") != "text" or bool(str(block.get("text")).strip())


def _as_written(content: Any, blocks: list[dict[str, Any]]) -> Any:
    return content if isinstance(content, str) and blocks[0].keys() == {"type", "text"} else blocks


def _content(blocks: list[Placed]) -> Any:
    if len(blocks) == 1 and blocks[0][1].keys() == {"type", "text"}:
        return blocks[0][1]["text"]
    return [block for _, block in blocks]


def _system(messages: Sequence[Message]) -> tuple[list[Placed], int]:
    blocks: list[Placed] = []
    for index, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return blocks, index
        texts = (p for p in message.parts if isinstance(p, TextPart) and not blank(p))
        blocks += [(index, {"type": "text", "text": p.text} | _marks(p)) for p in texts]
    return blocks, len(messages)


def _wire(messages: Sequence[Message], start: int) -> list[_WireMessage]:
    wire: list[_WireMessage] = []
    for ours, turn in turns(messages, start):
        role, blocks = ("assistant", _assistant(turn)) if ours else ("user", _user(turn))
        if blocks and wire and wire[-1].role == role:
            wire[-1].blocks.extend(blocks)
        elif blocks:
            wire.append(_WireMessage(role, blocks))
    if not wire or wire[0].role != "user":
        wire.insert(0, _WireMessage("user", [(-1, {"type": "text", "text": CONTINUED})]))
    _strip_end(wire[-1])
    return wire


def _strip_end(last: _WireMessage) -> None:
    """A final assistant text may not end with white space."""
    owner, block = last.blocks[-1]
    if last.role == "assistant" and block["type"] == "text":
        last.blocks[-1] = (owner, {**block, "text": block["text"].rstrip()})


def _assistant(turn: Turn) -> list[Placed]:
    blocks: list[Placed] = []
    for index, message in turn:
        for part in message.parts:
            block = _said(part)
            if block:
                blocks.append((index, block))
    while blocks and blocks[-1][1]["type"] in ("thinking", "redacted_thinking"):
        blocks.pop()
    return blocks


def _said(part: Part) -> dict[str, Any] | None:
    match part:
        case TextPart() if not blank(part):
            return {"type": "text", "text": part.text} | _marks(part)
        case ReasoningPart() if part.signature and not is_responses_reasoning(part):
            return reasoning_body(part)
        case ToolCallPart():
            return _call(part)
        case OpaquePart() if part.dialect == "anthropic":
            return _whole(part)
        case _:
            return None


def _call(part: ToolCallPart) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": safe_id(part.id, _ID_LIMIT),
        "name": safe_name(part.name),
        "input": tool_input(part.arguments),
    } | known_fields(part.extra, ("cache_control", "caller", "toolset_name"))


def _user(turn: Turn) -> list[Placed]:
    blocks = [(index, _result(part)) for index, part in results_of(turn)]
    for index, message in turn:
        for part in others_of(message):
            block = _block(part)
            if message.role in ("system", "developer"):
                if not isinstance(part, TextPart):
                    continue
                block = {"type": "text", "text": f"<system>\n{part.text}\n</system>"} | _marks(part)
            blocks.append((index, block))
    return blocks


def _result(part: ToolResultPart) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "tool_result", "tool_use_id": safe_id(part.call_id, _ID_LIMIT)}
    content: Any = part.content
    if not isinstance(content, str):
        content = [_block(inner) for inner in content if not blank(inner)]
    if content:
        out["content"] = content
    if part.is_error:
        out["is_error"] = True
    return out | known_fields(part.extra, ("cache_control", "toolset_name"))


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        names = ("title", "context") if part.extra.get("type") == "document" else ()
        return text_body(part) | known_fields(part.extra, names) | _marks(part)
    if isinstance(part, OpaquePart) and part.dialect == "anthropic":
        return _whole(part)
    if isinstance(part, ImagePart) and (source := _image_source(part)):
        shown = known_fields(part.extra, ("cache_control", "transformations"))
        return {"type": "image", "source": source} | shown
    if isinstance(part, FilePart) and (source := _file_source(part)):
        title = {"title": part.filename} if part.filename else {}
        return (
            {"type": "document", "source": source}
            | title
            | known_fields(part.extra, ("context",))
            | _marks(part)
        )
    named = stand_in(part) if isinstance(part, ImagePart | FilePart | OpaquePart) else ""
    return {"type": "text", "text": named}


def _whole(part: OpaquePart) -> dict[str, Any]:
    """A block of its own kind, copied as deep as cache points reach."""
    return _copied(part.value)


def _copied(value: Mapping[str, Any]) -> dict[str, Any]:
    block, content = dict(value), value.get("content")
    if isinstance(content, list):
        inner = cast("list[Any]", content)
        block["content"] = [copy(each) for each in inner]
    return block


def _image_source(part: ImagePart) -> dict[str, Any] | None:
    if "source" in part.extra:
        return dict(part.extra["source"])
    source = image_source(part)
    if source["type"] == "base64":
        return source if source["media_type"] in _IMAGE_TYPES else None
    return source if (part.url or "").startswith(("http://", "https://")) else None


def _file_source(part: FilePart) -> dict[str, Any] | None:
    source = file_source(part)
    if source["type"] == "base64" and source["media_type"].startswith("text/"):
        return _text_source(source["data"])
    if source["type"] == "base64":
        return source if source["media_type"] == "application/pdf" else None
    if source["type"] == "file":
        return source if (part.file_id or "").startswith("file_") else None
    return source


def _text_source(data: str) -> dict[str, Any] | None:
    try:
        text = base64.b64decode(data).decode()
    except ValueError:
        return None
    return {"type": "text", "media_type": "text/plain", "data": text} if text.strip() else None


def _marks(part: TextPart | FilePart) -> dict[str, Any]:
    if FIELD in part.extra:
        return {}
    return known_fields(part.extra, ("cache_control", "citations"))


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Those of the tools that go to this provider, as it wants them."""
    return [_tool(tool) for tool in tools if tool.dialect in ("", "anthropic")]


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.dialect:
        return dict(tool.extra)
    out: dict[str, Any] = {"name": tool.name}
    if tool.description:
        out["description"] = tool.description
    out["input_schema"] = dict(tool.parameters or {"type": "object", "properties": {}})
    out["input_schema"].setdefault("type", "object")
    return out | known_fields(tool.extra, (*_TOOL, "allowed_callers"))
