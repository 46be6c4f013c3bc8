"""Messages and tools of the Anthropic API, read and written back without loss.

Thinking is a `ReasoningPart` with its signature byte-exact. The `input` object of a tool call
becomes JSON text and goes back equal as a value. A plain-text document is a `TextPart` marked
`type: document`, so that its words count and can be found. Blocks without a part of their own
(server tools, search results, …) are opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contextkit.dialects.anthropic.arguments import tool_input
from contextkit.dialects.fields import (
    ABSENT,
    fail,
    id_of,
    image_type,
    json_copy,
    json_text,
    list_of,
    mapping_of,
    marked,
    rest_of,
    role_of,
    text_of,
    visible,
)
from contextkit.errors import InvalidMessage
from contextkit.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_ROLES: tuple[Role, ...] = ("user", "assistant", "system")


def parse(value: Mapping[str, Any]) -> Message:
    """One message dictionary as a `Message`; raises `InvalidMessage` naming the field."""
    role = role_of(value, _ROLES)
    content = value.get("content")
    extra = rest_of(value, ("role", "content"))
    if isinstance(content, str):
        return Message(
            role, (TextPart(text_of(content, "content")),) if content else (), extra=extra
        )
    return Message(role, _parse_blocks(content, "content"), extra=extra, shape="list")


def dump(message: Message) -> dict[str, Any]:
    """The dictionary that `parse` read; for messages of another dialect use `request`."""
    out: dict[str, Any] = {"role": message.role}
    parts = message.parts
    if message.shape != "list" and not parts:
        out["content"] = ""
    elif message.shape != "list" and len(parts) == 1 and _is_plain(parts[0]):
        out["content"] = message.text
    else:
        out["content"] = [dump_block(part) for part in parts]
    return out | dict(message.extra)


def _is_plain(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.extra


def _parse_blocks(value: Any, where: str) -> tuple[Part, ...]:
    if not isinstance(value, list | tuple):
        fail(where, f"must be text or a list of blocks, not {type(value).__name__}")
    return tuple(
        _parse_block(block, f"{where}.{i}") for i, block in enumerate(list_of(value, where))
    )


def _parse_block(value: Any, where: str) -> Part:
    block = mapping_of(value, where)
    kind = text_of(block.get("type", ""), f"{where}.type")
    if not kind:
        fail(f"{where}.type", "is missing; {'type': 'text', 'text': …} would work")
    reader = _READERS.get(kind)
    part = reader(block, where) if reader else None
    return part or OpaquePart("anthropic", json_copy(dict(block), where))


def _read_text(block: Mapping[str, Any], where: str) -> Part:
    return TextPart(
        text_of(block.get("text"), f"{where}.text"), rest_of(block, ("type", "text"), where)
    )


def _read_thinking(block: Mapping[str, Any], where: str) -> Part:
    signature = block.get("signature")
    known = ("type", "thinking") if signature is None else ("type", "thinking", "signature")
    return ReasoningPart(
        text_of(block.get("thinking"), f"{where}.thinking"),
        None if signature is None else text_of(signature, f"{where}.signature"),
        extra=rest_of(block, known, where),
    )


def _read_redacted(block: Mapping[str, Any], where: str) -> Part:
    data = text_of(block.get("data"), f"{where}.data")
    return ReasoningPart("", data, True, rest_of(block, ("type", "data"), where))


def _read_call(block: Mapping[str, Any], where: str) -> Part:
    arguments = json_text(mapping_of(block.get("input"), f"{where}.input"), f"{where}.input")
    extra = rest_of(block, ("type", "id", "name", "input"), where)
    name = id_of(block.get("name"), f"{where}.name")
    return ToolCallPart(id_of(block.get("id"), f"{where}.id"), name, arguments, extra)


def _read_result(block: Mapping[str, Any], where: str) -> Part:
    call_id = id_of(block.get("tool_use_id"), f"{where}.tool_use_id")
    content, is_error = block.get("content"), block.get("is_error", False)
    if not isinstance(is_error, bool):
        fail(f"{where}.is_error", f"must be true or false, not {type(is_error).__name__}")
    known = ("type", "tool_use_id", "content", "is_error" if is_error else "")
    extra = rest_of(block, known, where)
    if content is None:
        absent = "null" if "content" in block else "content"
        return ToolResultPart(call_id, "", is_error, extra=marked(extra, **{ABSENT: absent}))
    if isinstance(content, str):
        return ToolResultPart(call_id, text_of(content, f"{where}.content"), is_error, extra=extra)
    inner = _parse_blocks(content, f"{where}.content")
    return ToolResultPart(call_id, inner, is_error, extra=extra)


def _read_image(block: Mapping[str, Any], where: str) -> Part:
    source = mapping_of(block.get("source"), f"{where}.source")
    data, url, media_type = _source(source, where)
    if data is None and url is None:
        return ImagePart(extra=rest_of(block, ("type",), where))
    return ImagePart(url, data, media_type, extra=rest_of(block, ("type", "source"), where))


def _read_document(block: Mapping[str, Any], where: str) -> Part | None:
    source = mapping_of(block.get("source"), f"{where}.source")
    if set(source) == {"type", "media_type", "data"} and source["type"] == "text":
        text = text_of(source["data"], f"{where}.source.data")
        extra = marked(rest_of(block, ("type", "source"), where), type="document")
        return TextPart(text, marked(extra, _media_type=source["media_type"]))
    data, url, media_type = _source(source, where)
    file_id = source.get("file_id") if set(source) == {"type", "file_id"} else None
    if not (isinstance(data, str) or url or isinstance(file_id, str)):
        return None
    title = block.get("title")
    known = ("type", "source") if title is None else ("type", "source", "title")
    title = None if title is None else text_of(title, f"{where}.title")
    return FilePart(file_id, url, data, media_type, title, rest_of(block, known, where))


def _source(source: Mapping[str, Any], where: str) -> tuple[str | None, str | None, str | None]:
    """Data, URL and media type of the sources that have them in full; else nothing."""
    if set(source) == {"type", "media_type", "data"} and source["type"] == "base64":
        data = text_of(source["data"], f"{where}.source.data")
        return data, None, text_of(source["media_type"], f"{where}.source.media_type")
    if set(source) == {"type", "url"} and source["type"] == "url":
        return None, text_of(source["url"], f"{where}.source.url"), None
    return None, None, None


_READERS: dict[str, Callable[[Mapping[str, Any], str], Part | None]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
    "tool_result": _read_result,
    "image": _read_image,
    "document": _read_document,
}


def dump_block(part: Part) -> dict[str, Any]:
    """A content block as it was written; raises where the Anthropic API has none for the part."""
    if isinstance(part, OpaquePart):
        if part.dialect == "anthropic":
            return dict(part.value)
        raise InvalidMessage(
            f"a block of {part.dialect} has no Anthropic form; request() leaves it out"
        )
    return _dump_known(part) | visible(part.extra)


def _dump_known(
    part: TextPart | ReasoningPart | ToolCallPart | ToolResultPart | ImagePart | FilePart,
) -> dict[str, Any]:
    match part:
        case TextPart():
            return text_body(part)
        case ReasoningPart():
            return reasoning_body(part)
        case ToolCallPart():
            body = {"type": "tool_use", "id": part.id, "name": part.name}
            return body | {"input": tool_input(part.arguments)}
        case ToolResultPart():
            return _dump_result(part)
        case ImagePart():
            source = part.extra.get("source") or image_source(part)
            return {"type": "image", "source": source}
        case FilePart():
            title = {} if part.filename is None else {"title": part.filename}
            return {"type": "document", "source": file_source(part)} | title


def text_body(part: TextPart) -> dict[str, Any]:
    """A text block, or the plain-text document it was."""
    if part.extra.get("type") != "document":
        return {"type": "text", "text": part.text}
    media_type = part.extra.get("_media_type", "text/plain")
    return {
        "type": "document",
        "source": {"type": "text", "media_type": media_type, "data": part.text},
    }


def reasoning_body(part: ReasoningPart) -> dict[str, Any]:
    """A thinking block, its signature byte-exact."""
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.signature}
    signed = {} if part.signature is None else {"signature": part.signature}
    return {"type": "thinking", "thinking": part.text} | signed


def _dump_result(part: ToolResultPart) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id}
    absent = part.extra.get(ABSENT)
    if absent != "content":
        written = (
            part.content if isinstance(part.content, str) else [dump_block(p) for p in part.content]
        )
        out["content"] = None if absent == "null" else written
    return out | ({"is_error": True} if part.is_error else {})


def image_source(part: ImagePart) -> dict[str, Any]:
    """Where an image is."""
    if part.data is None:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type or image_type(part), "data": part.data}


def file_source(part: FilePart) -> dict[str, Any]:
    """Where a document is."""
    if part.data is not None:
        return {
            "type": "base64",
            "media_type": part.media_type or "application/pdf",
            "data": part.data,
        }
    if part.url is not None:
        return {"type": "url", "url": part.url}
    return {"type": "file", "file_id": part.file_id}
