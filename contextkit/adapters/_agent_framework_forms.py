"""Messages of Microsoft Agent Framework, read and written back without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from contextkit.adapters._framework import Unit, missing
from contextkit.backend import Reply
from contextkit.dialects.fields import role_of, split_data
from contextkit.messages import (
    ROLES,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from contextkit.usage import Usage

try:
    from agent_framework import Content
    from agent_framework import Message as TheirMessage
except ImportError as error:
    raise missing("agent_framework", "agent-framework", error) from error

AUTHOR = "author_name"
INSTRUCTIONS: Any = object()
"""Stands for the agent's instructions among the messages."""
DIALECT = "agent_framework"
_AROUND = ("_group", "_excluded", "_exclude_reason", "_attribution")
"""Notes of the framework on a message that say nothing of what was said."""


def messages_of(said: Sequence[TheirMessage]) -> Message:
    """Messages of one role as one; raises `InvalidMessage` for a role nobody has.

    The author of replies and results is kept beside them: the framework fills it in after the run.
    """
    role = role_of({"role": said[0].role}, ROLES)
    contents = [content for message in said for content in message.contents]
    parts = tuple(_part(content) for content in contents if content.type != "usage")
    properties = {k: v for k, v in said[0].additional_properties.items() if k not in _AROUND}
    author = said[0].author_name
    extra = {"message_id": said[0].message_id, "additional_properties": properties}
    if role in ("assistant", "tool"):
        extra, author = {**extra, AUTHOR: author}, None
    kept = {name: value for name, value in extra.items() if value}
    return Message(role, parts, name=author, extra=kept)


def units_of(instructions: str | None, messages: Sequence[TheirMessage]) -> list[Unit[Any]]:
    """The instructions and the messages, those of one reply together."""
    units: list[Unit[Any]] = []
    if instructions:
        units.append(Unit((INSTRUCTIONS,), (text_message("system", instructions),)))
    for ours, run in groupby(messages, key=lambda message: message.role == "assistant"):
        found = list(run)
        if ours:
            units.append(Unit(tuple(found), (messages_of(found),)))
        else:
            units += [Unit((message,), (messages_of([message]),)) for message in found]
    return units


def message_of(message: Message) -> TheirMessage:
    """The framework's message for one of any origin."""
    extra = message.extra
    return TheirMessage(
        message.role,
        [_content(part) for part in message.parts],
        author_name=message.name or extra.get(AUTHOR),
        message_id=extra.get("message_id"),
        additional_properties=dict(extra.get("additional_properties") or {}),
    )


def reply_of(response: Any) -> Reply:
    """A chat response with what it used, as far as the service told."""
    said = [message for message in response.messages if message.role == "assistant"]
    used = cast("Mapping[str, int | None]", response.usage_details or {})
    message = messages_of(said) if said else Message("assistant", ())
    if used.get("input_token_count") is None:
        return Reply(message)
    usage = Usage(
        used["input_token_count"] or 0,
        used.get("output_token_count") or 0,
        cache_read_tokens=used.get("cache_read_input_token_count") or 0,
        cache_write_tokens=used.get("cache_creation_input_token_count") or 0,
        reasoning_tokens=used.get("reasoning_output_token_count") or 0,
    )
    return Reply(message, usage, str(response.finish_reason or "") or None)


def _part(content: Content) -> Part:
    value = {k: v for k, v in content.to_dict().items() if k != "additional_properties" or v}
    kind = value.pop("type")
    if kind == "text":
        return TextPart(value.pop("text", None) or "", value)
    if kind == "text_reasoning":
        text, sealed = value.pop("text", None), value.pop("protected_data", None)
        return ReasoningPart(text or "", sealed, bool(sealed) and not text, value)
    if kind == "function_call" and value.get("call_id"):
        arguments = value.get("arguments", "")
        if isinstance(arguments, str):
            value.pop("arguments", None)
        else:
            arguments = json.dumps(arguments, ensure_ascii=False)
        return ToolCallPart(value.pop("call_id"), value.pop("name"), arguments, value)
    if kind == "function_result" and value.get("call_id"):
        return _result(content, value)
    if kind in ("uri", "data") and isinstance(uri := value.get("uri"), str):
        return _media(uri, {"type": kind, **value})
    return OpaquePart(DIALECT, {"type": kind, **value})


def _result(content: Content, value: dict[str, Any]) -> ToolResultPart:
    """A result as text, or as parts where more than text came back."""
    items: Sequence[Content] = content.items or ()
    said: str | tuple[Part, ...] = str(value.pop("result", None) or "")
    value.pop("items", None)
    if any(item.type != "text" for item in items):
        said = tuple(_part(item) for item in items)
    failed = content.exception is not None
    return ToolResultPart(value.pop("call_id"), said, is_error=failed, extra=value)


def _media(uri: str, value: dict[str, Any]) -> Part:
    kind = str(value.get("media_type") or "")
    data, media_type = split_data(uri) if uri.startswith("data:") else (None, None)
    rest = {name: each for name, each in value.items() if name not in ("uri", "media_type")}
    where = None if data else uri
    if kind.startswith("image/"):
        return ImagePart(where, data, media_type or kind, extra=rest)
    return FilePart(url=where, data=data, media_type=media_type or kind or None, extra=rest)


def _content(part: Part) -> Content:
    match part:
        case TextPart():
            value = {"type": "text", "text": part.text, **part.extra}
        case ReasoningPart():
            value = {"type": "text_reasoning", "text": part.text or None, **part.extra}
            value["protected_data"] = part.signature
        case ToolCallPart():
            value = {"type": "function_call", "call_id": part.id, "name": part.name}
            value |= {"arguments": part.arguments, **part.extra}
        case ToolResultPart():
            return _result_content(part)
        case ImagePart() | FilePart():
            data = f"data:{part.media_type};base64,{part.data}" if part.data else None
            kind = "data" if data else "uri"
            value = {"type": kind, "uri": data or part.url, "media_type": part.media_type}
            value |= part.extra
        case OpaquePart():
            value = dict(part.value)
    return Content.from_dict({name: each for name, each in value.items() if each is not None})


def _result_content(part: ToolResultPart) -> Content:
    said = part.content
    result = said if isinstance(said, str) else [_content(inner) for inner in said]
    known = ("exception", "status", "id", "annotations", "additional_properties")
    extra = {name: part.extra[name] for name in known if part.extra.get(name) is not None}
    return Content.from_function_result(part.call_id, result=result, **extra)
