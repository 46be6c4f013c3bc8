"""Messages of Strands Agents (the blocks of Bedrock's Converse API) as contextkit's, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from contextkit.dialects.fields import role_of
from contextkit.messages import (
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

DIALECT = "strands"
_BYTES = "base64"


def message_of(message: Mapping[str, Any]) -> Message:
    """Strands' message as contextkit's; raises `InvalidMessage` for another role than its two."""
    role = role_of(message, ("user", "assistant"))
    return Message(role, tuple(_part(block) for block in message["content"]))


def theirs_of(message: Message) -> dict[str, Any]:
    """Strands' message for one of any origin; it knows no system message among the others."""
    role = "assistant" if message.role == "assistant" else "user"
    return {"role": role, "content": [_block(part) for part in message.parts]}


def _part(block: Mapping[str, Any]) -> Part:
    if "text" in block:
        return TextPart(block["text"])
    if use := block.get("toolUse"):
        arguments = json.dumps(use["input"], ensure_ascii=False)
        rest = {k: v for k, v in use.items() if k not in ("toolUseId", "name", "input")}
        return ToolCallPart(use["toolUseId"], use["name"], arguments, _plain(rest))
    if result := block.get("toolResult"):
        return ToolResultPart(
            result["toolUseId"], _said(result["content"]), is_error=result.get("status") == "error"
        )
    if reasoning := block.get("reasoningContent"):
        return _reasoning(reasoning)
    if "image" in block and "bytes" in block["image"].get("source", {}):
        image = block["image"]
        data = base64.b64encode(image["source"]["bytes"]).decode()
        return ImagePart(data=data, media_type=f"image/{image['format']}")
    return OpaquePart(DIALECT, _plain(block))


def _said(content: Sequence[Mapping[str, Any]]) -> str | tuple[Part, ...]:
    if len(content) == 1 and "text" in content[0]:
        return str(content[0]["text"])
    return tuple(
        TextPart(json.dumps(each["json"], ensure_ascii=False)) if "json" in each else _part(each)
        for each in content
    )


def _reasoning(reasoning: Mapping[str, Any]) -> Part:
    if told := reasoning.get("reasoningText"):
        return ReasoningPart(told.get("text") or "", told.get("signature"))
    sealed = base64.b64encode(reasoning.get("redactedContent") or b"").decode()
    return ReasoningPart("", sealed, redacted=True)


def _block(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"text": part.text}
        case ToolCallPart():
            use = {"toolUseId": part.id, "name": part.name, **_restored(part.extra)}
            return {"toolUse": {**use, "input": json.loads(part.arguments or "{}")}}
        case ToolResultPart():
            inner = [TextPart(part.content)] if isinstance(part.content, str) else part.content
            status = "error" if part.is_error else "success"
            blocks = [_block(each) for each in inner]
            return {"toolResult": {"toolUseId": part.call_id, "status": status, "content": blocks}}
        case ReasoningPart(redacted=True):
            sealed = base64.b64decode(part.signature or "")
            return {"reasoningContent": {"redactedContent": sealed}}
        case ReasoningPart():
            told = {"text": part.text} | ({"signature": part.signature} if part.signature else {})
            return {"reasoningContent": {"reasoningText": told}}
        case ImagePart() if part.data:
            kind = (part.media_type or "image/png").partition("/")[2]
            return {"image": {"format": kind, "source": {"bytes": base64.b64decode(part.data)}}}
        case OpaquePart(dialect="strands"):
            return cast("dict[str, Any]", _restored(part.value))
        case _:
            return {"text": f"[{type(part).__name__} of another form]"}


def _plain(value: Any) -> Any:
    """JSON values for a block that may hold bytes."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        if list(items) == [_BYTES]:
            return base64.b64decode(items[_BYTES])
        return {k: _restored(v) for k, v in items.items()}
    if isinstance(value, list | tuple):
        return [_restored(each) for each in cast("Sequence[Any]", value)]
    return value
