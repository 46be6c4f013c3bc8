"""Chat Completions messages and tools, read and written back without loss.

`shape` of a message says how its content was written: "" as text, "list", "null" or "missing".
The legacy forms before tools (role 'function', `function_call`) are refused: they have no ids to pair by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contextkit.dialects.fields import (
    ABSENT,
    FIELD,
    fail,
    id_of,
    image_of,
    image_url,
    join_data,
    json_copy,
    list_of,
    mapping_of,
    marked,
    rest_of,
    role_of,
    split_data,
    text_of,
    visible,
)
from contextkit.errors import InvalidMessage
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
)
from contextkit.tools import Tool

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

    For messages of another dialect use `request`; raises `InvalidMessage` where one dictionary cannot
    hold the message.
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
    return "list", tuple(_parse_block(b, f"content.{i}") for i, b in enumerate(blocks))


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


def _parse_block(value: Any, where: str) -> Part:
    block = mapping_of(value, where)
    kind = text_of(block.get("type", ""), f"{where}.type")
    if not kind:
        fail(f"{where}.type", "is missing; {'type': 'text', 'text': …} would work")
    reader = _READERS.get(kind)
    return reader(block, where) if reader else OpaquePart("openai", json_copy(dict(block), where))


def _read_text(block: Mapping[str, Any], where: str) -> Part:
    return TextPart(
        text_of(block.get("text"), f"{where}.text"), rest_of(block, ("type", "text"), where)
    )


def _read_refusal(block: Mapping[str, Any], where: str) -> Part:
    extra = marked(rest_of(block, ("type", "refusal"), where), type="refusal")
    return TextPart(text_of(block.get("refusal"), f"{where}.refusal"), extra)


def _read_image(block: Mapping[str, Any], where: str) -> Part:
    place = f"{where}.image_url"
    if isinstance(block.get("image_url"), str):
        fail(place, "must be an object; {'url': …} would work")
    image = mapping_of(block.get("image_url"), place)
    detail = image.get("detail")
    known = ("url",) if detail is None else ("url", "detail")
    extra = marked(
        rest_of(block, ("type", "image_url"), where), _inner=rest_of(image, known, place) or None
    )
    detail = None if detail is None else text_of(detail, f"{place}.detail")
    return image_of(id_of(image.get("url"), f"{place}.url"), detail, extra)


def _read_file(block: Mapping[str, Any], where: str) -> Part:
    place = f"{where}.file"
    file = mapping_of(block.get("file"), place)
    known = tuple(f for f in ("file_id", "file_data", "filename") if file.get(f) is not None)
    found = {field: text_of(file[field], f"{place}.{field}") for field in known}
    data, media_type = split_data(found["file_data"]) if "file_data" in found else (None, None)
    extra = marked(
        rest_of(block, ("type", "file"), where), _inner=rest_of(file, known, place) or None
    )
    return FilePart(found.get("file_id"), None, data, media_type, found.get("filename"), extra)


_READERS: dict[str, Callable[[Mapping[str, Any], str], Part]] = {
    "text": _read_text,
    "refusal": _read_refusal,
    "image_url": _read_image,
    "file": _read_file,
}


def dump_block(part: Part) -> dict[str, Any]:
    """A content block as it was written; raises for parts that Chat Completions has no block for."""
    if isinstance(part, OpaquePart) and part.dialect == "openai":
        return dict(part.value)
    if isinstance(part, TextPart):
        kind = "refusal" if part.extra.get("type") == "refusal" else "text"
        return {"type": kind, kind: part.text} | visible(part.extra) | {"type": kind}
    if isinstance(part, ImagePart) and (url := image_url(part)) is not None:
        image = {"url": url} | ({"detail": part.detail} if part.detail is not None else {})
        return {"type": "image_url", "image_url": image | _inner(part)} | visible(part.extra)
    if isinstance(part, FilePart) and part.url is None:
        return {"type": "file", "file": file_body(part) | _inner(part)} | visible(part.extra)
    raise InvalidMessage(
        f"a {type(part).__name__} has no Chat Completions block; request() can send it"
    )


def file_body(part: FilePart) -> dict[str, Any]:
    """The `file` object of a file block."""
    data = None if part.data is None else join_data(part)
    body = {"file_id": part.file_id, "file_data": data, "filename": part.filename}
    return {key: item for key, item in body.items() if item is not None}


def _inner(part: ImagePart | FilePart) -> dict[str, Any]:
    return dict(part.extra.get("_inner", {}))


def parse_tool(value: Mapping[str, Any]) -> Tool:
    """One tool dictionary as a `Tool`; a tool that is not a function is kept whole."""
    if value.get("type", "function") != "function":
        whole = json_copy(dict(value), "tool")
        inner = whole.get(whole["type"])
        name = inner.get("name") if isinstance(inner, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return Tool(str(name or whole["type"]), dialect="openai", extra=whole)  # pyright: ignore[reportUnknownArgumentType]
    body = mapping_of(value.get("function"), "function")
    known = ["name"]
    if description := body.get("description"):
        known.append("description")
    if (parameters := body.get("parameters")) is not None:
        known.append("parameters")
        parameters = json_copy(mapping_of(parameters, "function.parameters"), "function.parameters")
    extra = marked(
        rest_of(body, known, "function"),
        _outer=rest_of(value, ("type", "function")) or None,
        **{ABSENT: None if "type" in value else "type"},
    )
    name = id_of(body.get("name"), "function.name")
    return Tool(name, text_of(description or "", "function.description"), parameters, extra=extra)


def dump_tool(tool: Tool) -> dict[str, Any]:
    """The dictionary that `parse_tool` read."""
    if tool.dialect:
        return dict(tool.extra)
    body: dict[str, Any] = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    if tool.parameters is not None:
        body["parameters"] = tool.parameters
    out = {"type": "function", "function": body | visible(tool.extra)} | dict(
        tool.extra.get("_outer", {})
    )
    if ABSENT in tool.extra:
        del out["type"]
    return out
