"""Chat Completions messages and tools, read and written back without loss.

`shape` of a message says how its content was written: "" as text, "list", "null" or "missing".
The legacy forms before tools (role 'function', `function_call`) are refused: they have no ids to
pair by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.dialects.fields import (
    ABSENT,
    FIELD,
    fail,
    id_of,
    json_copy,
    list_of,
    mapping_of,
    marked,
    rest_of,
    role_of,
    text_of,
    visible,
)
from contextkit.dialects.openai.blocks import dump_block, parse_block
from contextkit.errors import InvalidMessage
from contextkit.messages import (
    ROLES,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_MISSING = object()
_CONTENT = ("role", "content")


def parse(value: Mapping[str, Any]) -> Message:
    """One message dictionary as a `Message`; raises `InvalidMessage` naming the field."""
    role = role_of(value, ROLES)
    content = value.get("content", _MISSING)
    if role == "tool":
        return _parse_result(value)
    if isinstance(content, str) and len(value) == 2:
        return Message(role, (TextPart(text_of(content, "content")),) if content else ())
    shape, parts = _parse_content(content)
    known: tuple[str, ...] = _CONTENT
    name = value.get("name")
    if name is not None:
        name, known = text_of(name, "name"), (*known, "name")
    if role == "assistant":
        before, after = _parse_fields(value)
        parts = (*before, *parts, *after)
        known += tuple(
            f for f in ("reasoning_content", "refusal", "audio", "tool_calls") if value.get(f)
        )
    return Message(role, parts, name, rest_of(value, known), shape)


def dump(message: Message) -> dict[str, Any]:
    """The dictionary that `parse` read.

    For messages of another dialect use `request`; raises `InvalidMessage` where one dictionary
    cannot hold the message.
    """
    if message.role == "tool":
        return _dump_result(message)
    out: dict[str, Any] = {"role": message.role}
    content = [p for p in message.parts if not _is_field(p)]
    _put_content(out, content, message.shape)
    if message.name is not None:
        out["name"] = message.name
    for part in message.parts:
        if isinstance(part, ToolCallPart):
            out.setdefault("tool_calls", []).append(dump_call(part))
        elif isinstance(part, OpaquePart) and _is_field(part):
            out["audio"] = part.value["audio"]
        elif isinstance(part, TextPart | ReasoningPart) and FIELD in part.extra:
            out[part.extra[FIELD]] = part.text
    return out | dict(message.extra)


def _is_field(part: Part) -> bool:
    if isinstance(part, OpaquePart):
        return FIELD in part.value
    return isinstance(part, ToolCallPart) or FIELD in part.extra


def _parse_content(content: Any) -> tuple[str, tuple[Part, ...]]:
    if isinstance(content, str):
        return "", (TextPart(text_of(content, "content")),) if content else ()
    if content is _MISSING:
        return "missing", ()
    if content is None:
        return "null", ()
    if not isinstance(content, list | tuple):
        fail("content", f"must be text or a list of blocks, not {type(content).__name__}")
    blocks = list_of(content, "content")
    return "list", tuple(parse_block(b, f"content.{i}") for i, b in enumerate(blocks))


def _put_content(out: dict[str, Any], parts: list[Part], shape: str) -> None:
    if shape != "list" and not parts:
        if shape != "missing":
            out["content"] = None if shape == "null" else ""
    elif (
        shape != "list"
        and len(parts) == 1
        and isinstance(parts[0], TextPart)
        and not parts[0].extra
    ):
        out["content"] = parts[0].text
    else:
        out["content"] = [dump_block(part) for part in parts]


def _parse_fields(value: Mapping[str, Any]) -> tuple[list[Part], list[Part]]:
    """What an assistant message has beside its content: before it, and after it."""
    before: list[Part] = []
    after: list[Part] = []
    if value.get("function_call"):
        fail("function_call", "is the form before tools; use tool_calls with an id for each call")
    if reasoning := value.get("reasoning_content"):
        text = text_of(reasoning, "reasoning_content")
        before.append(ReasoningPart(text, extra={FIELD: "reasoning_content"}))
    if refusal := value.get("refusal"):
        after.append(TextPart(text_of(refusal, "refusal"), {"type": "refusal", FIELD: "refusal"}))
    if audio := value.get("audio"):
        after.append(OpaquePart("openai", {FIELD: "audio", "audio": json_copy(audio, "audio")}))
    calls = list_of(value.get("tool_calls") or [], "tool_calls")
    after += [_parse_call(call, f"tool_calls.{i}") for i, call in enumerate(calls)]
    return before, after


def _parse_call(value: Any, where: str) -> ToolCallPart:
    call = mapping_of(value, where)
    kind = call.get("type", "function")
    if kind not in ("function", "custom"):
        fail(f"{where}.type", f"must be 'function' or 'custom', not {kind!r}")
    body = mapping_of(call.get(kind), f"{where}.{kind}")
    written = "arguments" if kind == "function" else "input"
    if isinstance(body.get(written), Mapping):
        fail(
            f"{where}.{kind}.{written}",
            "must be the JSON text the model wrote; json.dumps(…) would work",
        )
    extra = marked(
        rest_of(call, ("id", "type", kind), where),
        type="custom" if kind == "custom" else None,
        _inner=rest_of(body, ("name", written), f"{where}.{kind}") or None,
        **{ABSENT: None if "type" in call else "type"},
    )
    name = id_of(body.get("name"), f"{where}.{kind}.name")
    arguments = text_of(body.get(written), f"{where}.{kind}.{written}")
    return ToolCallPart(id_of(call.get("id"), f"{where}.id"), name, arguments, extra)


def dump_call(part: ToolCallPart) -> dict[str, Any]:
    """A tool call as it was written."""
    kind = "custom" if part.extra.get("type") == "custom" else "function"
    written = "arguments" if kind == "function" else "input"
    body = {"name": part.name, written: part.arguments} | dict(part.extra.get("_inner", {}))
    out = {"id": part.id, "type": kind, kind: body} | visible(part.extra)
    if ABSENT in part.extra:
        del out["type"]
    return out


def _parse_result(value: Mapping[str, Any]) -> Message:
    shape, parts = _parse_content(value.get("content", _MISSING))
    call_id = id_of(value.get("tool_call_id"), "tool_call_id")
    name = value.get("name")
    known = (
        ("role", "content", "tool_call_id")
        if name is None
        else ("role", "content", "tool_call_id", "name")
    )
    content = (
        parts if shape == "list" else "".join(p.text for p in parts if isinstance(p, TextPart))
    )
    result = ToolResultPart(call_id, content, name=None if name is None else text_of(name, "name"))
    return Message(
        "tool", (result,), extra=rest_of(value, known), shape=shape if shape != "list" else ""
    )


def _dump_result(message: Message) -> dict[str, Any]:
    if len(message.parts) != 1 or not isinstance(message.parts[0], ToolResultPart):
        raise InvalidMessage(
            "a tool message of Chat Completions holds one result; request() splits it"
        )
    part = message.parts[0]
    out: dict[str, Any] = {"role": "tool", "tool_call_id": part.call_id}
    if isinstance(part.content, tuple):
        out["content"] = [dump_block(inner) for inner in part.content]
    elif part.content or message.shape not in ("null", "missing"):
        out["content"] = part.content
    elif message.shape == "null":
        out["content"] = None
    if part.name is not None:
        out["name"] = part.name
    return out | dict(message.extra)
