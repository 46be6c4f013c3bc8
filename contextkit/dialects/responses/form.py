"""Items and tools of the Responses API, read and written back without loss.

A reasoning item is a `ReasoningPart` whose `signature` is the encrypted content. Calls that the
caller answers (functions, custom tools, shell, computer, patches, its own tool search) are tool calls
and pair by `call_id`; calls the provider answers itself (web search, code interpreter, …) are opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.dialects.fields import (
    fail,
    id_of,
    image_of,
    image_url,
    join_data,
    json_copy,
    json_text,
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
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant")
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
OUTPUTS = ("function_call_output", "custom_tool_call_output")
NEXT = "_next"
"""Marks the text with which another message of the same reply begins; holds that one's other fields."""


def parse(value: Mapping[str, Any]) -> Message:
    """One input or output item as a `Message`; raises `InvalidMessage` naming the field."""
    kind = text_of(value.get("type", "message"), "type")
    if kind == "message":
        return _parse_message(value)
    if kind == "reasoning":
        return Message("assistant", (_parse_reasoning(value),))
    if kind in CALLS:
        return Message("assistant", (_parse_call(value, kind),))
    if kind in OUTPUTS:
        return Message("tool", (_parse_output(value, kind),))
    return _parse_other(value, kind)


def dump(message: Message) -> dict[str, Any]:
    """The item that `parse` read; for messages of another dialect use `request`."""
    part = message.parts[0] if len(message.parts) == 1 else None
    if isinstance(part, OpaquePart) and message.shape == "item":
        return dict(part.value)
    if isinstance(part, ToolCallPart):
        return dump_call(part)
    if isinstance(part, ToolResultPart):
        return dump_output(part)
    if isinstance(part, ReasoningPart):
        return dump_reasoning(part)
    out: dict[str, Any] = {"role": message.role}
    if message.shape != "list" and isinstance(part, TextPart) and not part.extra:
        out["content"] = part.text
    elif message.shape != "list" and not message.parts:
        out["content"] = ""
    else:
        out["content"] = [dump_block(inner, message.role) for inner in message.parts]
    return out | dict(message.extra)


def _parse_message(value: Mapping[str, Any]) -> Message:
    role = role_of(value, _ROLES)
    content = value.get("content")
    extra = rest_of(value, ("role", "content"))
    if isinstance(content, str):
        return Message(
            role, (TextPart(text_of(content, "content")),) if content else (), extra=extra
        )
    if not isinstance(content, list | tuple):
        fail("content", f"must be text or a list of blocks, not {type(content).__name__}")
    blocks = list_of(content, "content")
    parts = tuple(_parse_block(block, f"content.{i}", role) for i, block in enumerate(blocks))
    return Message(role, parts, extra=extra, shape="list")


def _text_type(role: Role) -> str:
    return "output_text" if role == "assistant" else "input_text"


def _parse_block(value: Any, where: str, role: Role) -> Part:
    block = mapping_of(value, where)
    kind = id_of(block.get("type", ""), f"{where}.type")
    if kind in ("input_text", "output_text"):
        extra = rest_of(block, ("type", "text"), where)
        other = None if kind == _text_type(role) else kind
        return TextPart(text_of(block.get("text"), f"{where}.text"), marked(extra, type=other))
    if kind == "refusal":
        extra = marked(rest_of(block, ("type", "refusal"), where), type=kind)
        return TextPart(text_of(block.get("refusal"), f"{where}.refusal"), extra)
    if kind == "input_image" and isinstance(block.get("image_url"), str | None):
        return _read_image(block, where)
    if kind == "input_file":
        return _read_file(block, where)
    return OpaquePart("responses", json_copy(dict(block), where))


def _read_image(block: Mapping[str, Any], where: str) -> Part:
    known = tuple(f for f in ("image_url", "detail") if block.get(f) is not None)
    detail = text_of(block["detail"], f"{where}.detail") if "detail" in known else None
    extra = rest_of(block, ("type", *known), where)
    if "image_url" not in known:
        return ImagePart(detail=detail, extra=extra)
    return image_of(text_of(block["image_url"], f"{where}.image_url"), detail, extra)


def _read_file(block: Mapping[str, Any], where: str) -> Part:
    names = ("file_id", "file_url", "file_data", "filename")
    found = {f: text_of(block[f], f"{where}.{f}") for f in names if block.get(f) is not None}
    data, media_type = split_data(found["file_data"]) if "file_data" in found else (None, None)
    extra = rest_of(block, ("type", *found), where)
    get = found.get
    return FilePart(get("file_id"), get("file_url"), data, media_type, get("filename"), extra)


def dump_block(part: Part, role: Role) -> dict[str, Any]:
    """A content block as it was written; raises where the Responses API has none for the part."""
    if isinstance(part, OpaquePart) and part.dialect == "responses":
        return dict(part.value)
    if isinstance(part, TextPart):
        kind = part.extra.get("type", _text_type(role))
        field = "refusal" if kind == "refusal" else "text"
        return {"type": kind, field: part.text} | visible(part.extra)
    if isinstance(part, ImagePart):
        found = {"image_url": image_url(part), "detail": part.detail}
        return {"type": "input_image"} | _set(found) | visible(part.extra)
    if isinstance(part, FilePart):
        return {"type": "input_file"} | file_body(part) | visible(part.extra)
    raise InvalidMessage(f"a {type(part).__name__} has no Responses block; request() can send it")


def file_body(part: FilePart) -> dict[str, Any]:
    """Where a file is, in the fields of an input_file block."""
    data = None if part.data is None else join_data(part)
    return _set(
        {
            "file_id": part.file_id,
            "file_url": part.url,
            "file_data": data,
            "filename": part.filename,
        }
    )


def _set(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in fields.items() if item is not None}


def _parse_reasoning(value: Mapping[str, Any]) -> ReasoningPart:
    encrypted = value.get("encrypted_content")
    known = () if encrypted is None else ("encrypted_content",)
    texts: list[str] = []
    for field in ("summary", "content"):
        for i, item in enumerate(list_of(value.get(field) or [], field)):
            block = mapping_of(item, f"{field}.{i}")
            texts.append(text_of(block.get("text", ""), f"{field}.{i}.text"))
    signature = None if encrypted is None else text_of(encrypted, "encrypted_content")
    return ReasoningPart("\n".join(texts), signature, extra=rest_of(value, known))


def dump_reasoning(part: ReasoningPart) -> dict[str, Any]:
    """A reasoning item as it was written."""
    return dict(part.extra) | _set({"encrypted_content": part.signature})


def _parse_call(value: Mapping[str, Any], kind: str) -> ToolCallPart:
    written = CALLS[kind]
    extra = marked(
        rest_of(value, ("type", "call_id", "name", written)),
        type="custom" if kind == "custom_tool_call" else None,
    )
    arguments = text_of(value.get(written), written)
    return ToolCallPart(
        id_of(value.get("call_id"), "call_id"), id_of(value.get("name"), "name"), arguments, extra
    )


def dump_call(part: ToolCallPart) -> dict[str, Any]:
    """A call item as it was written."""
    if "_item" in part.extra:
        return dict(part.extra["_item"])
    kind = "custom_tool_call" if part.extra.get("type") == "custom" else "function_call"
    extra = {key: item for key, item in visible(part.extra).items() if key != "type"}
    return {
        "type": kind,
        "call_id": part.id,
        "name": part.name,
        CALLS[kind]: part.arguments,
    } | extra


def _parse_output(value: Mapping[str, Any], kind: str) -> ToolResultPart:
    output = value.get("output")
    name = value.get("name")
    known = ("type", "call_id", "output") if name is None else ("type", "call_id", "output", "name")
    extra = marked(rest_of(value, known), type="custom" if kind == OUTPUTS[1] else None)
    content: str | tuple[Part, ...]
    if isinstance(output, str):
        content = text_of(output, "output")
    elif isinstance(output, list | tuple):
        blocks = list_of(output, "output")
        content = tuple(
            _parse_block(block, f"output.{i}", "tool") for i, block in enumerate(blocks)
        )
    else:
        fail("output", f"must be text or a list of blocks, not {type(output).__name__}")
    name = None if name is None else text_of(name, "name")
    return ToolResultPart(id_of(value.get("call_id"), "call_id"), content, name=name, extra=extra)


def dump_output(part: ToolResultPart) -> dict[str, Any]:
    """An output item as it was written."""
    if "_item" in part.extra:
        return dict(part.extra["_item"])
    output: Any = part.content
    if not isinstance(output, str):
        output = [dump_block(inner, "tool") for inner in output]
    extra = {key: item for key, item in visible(part.extra).items() if key != "type"}
    kind = OUTPUTS[1] if part.extra.get("type") == "custom" else OUTPUTS[0]
    name = _set({"name": part.name})
    return {"type": kind, "call_id": part.call_id, "output": output} | name | extra


def _parse_other(value: Mapping[str, Any], kind: str) -> Message:
    item = json_copy(dict(value), kind)
    call_id = value.get("call_id")
    if kind == "local_shell_call_output" and not call_id:
        call_id = value.get("id")  # where that API's reference has the call's id
    pairs = isinstance(call_id, str) and call_id and value.get("execution") != "server"
    if pairs and kind.endswith("_call"):
        asked = value.get("action", value.get("operation", value.get("arguments")))
        action = json_text(asked, kind)
        call = ToolCallPart(text_of(call_id, "call_id"), kind[:-5], action, {"_item": item})
        return Message("assistant", (call,))
    if pairs and (kind.endswith("_call_output") or kind == "tool_search_output"):
        output = value.get("output", value.get("tools", ""))
        text = output if isinstance(output, str) else json_text(output, "output")
        result = ToolResultPart(text_of(call_id, "call_id"), text, extra={"_item": item})
        return Message("tool", (result,))
    role = value.get("role", "user" if kind == "mcp_approval_response" else "assistant")
    return Message(
        role if role in ROLES else "assistant", (OpaquePart("responses", item),), shape="item"
    )
