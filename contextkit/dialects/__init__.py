"""Wire forms: messages and tools as OpenAI, Anthropic and the Responses API write them.

`parse_messages` and `parse_tools` take what callers have (dictionaries of any of the three, SDK
objects, `Message` and `Tool` themselves) and find the dialect from the form. Each dialect module
has `parse` and `dump`, a lossless pair, and `request`, which makes what is sent from messages of
any origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, TypeAlias, cast

from contextkit.dialects import anthropic, openai, responses
from contextkit.dialects.fields import fail, mapping_of
from contextkit.errors import InvalidMessage
from contextkit.messages import Message, text_message
from contextkit.tools import Tool

__all__ = [
    "Dialect",
    "detect",
    "dump_tools",
    "parse_message",
    "parse_messages",
    "parse_tool",
    "parse_tools",
]

Dialect: TypeAlias = Literal["openai", "anthropic", "responses"]

_MODULES: dict[Dialect, ModuleType] = {
    "openai": openai,
    "anthropic": anthropic,
    "responses": responses,
}
_ANTHROPIC_BLOCKS = frozenset(
    [
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "image",
        "document",
        "search_result",
        "container_upload",
    ]
)
_RESPONSES_BLOCKS = frozenset(["input_text", "output_text", "input_image", "input_file"])
_ANTHROPIC_TOOL = re.compile(r".*_20\d{6}")


def parse_message(value: Any) -> Message:
    """One message, from a `Message`, a dictionary of any dialect, or an SDK object.

    Raises `InvalidMessage` whose text starts with the place of what is wrong, as `content.0.type`.
    """
    if isinstance(value, Message):
        return value
    fields = _fields_of(value)
    dialect = detect(fields)
    if dialect == "openai":
        return openai.parse(fields)
    return anthropic.parse(fields) if dialect == "anthropic" else responses.parse(fields)


def parse_messages(value: Any) -> list[Message]:
    """One message or many; a string is what the user says.

    Raises `InvalidMessage` whose text starts with the place, as `messages.3.content.0.type`.
    """
    if isinstance(value, str):
        value = text_message("user", value)
    if isinstance(value, Message | Mapping) or _dumper(value) is not None:
        value = [value]
    listed: Any = value
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        fail("messages", f"must be text, a message or a list of them, not {type(value).__name__}")
    return [_parse_at(index, item) for index, item in enumerate(listed)]


def _parse_at(index: int, value: Any) -> Message:
    try:
        return parse_message(value)
    except InvalidMessage as error:
        raise type(error)(f"messages.{index}.{error}") from None


def detect(value: Mapping[str, Any]) -> Dialect:
    """The dialect of a message dictionary; "openai" where several would read it the same."""
    kind, content = value.get("type"), value.get("content")
    if kind is not None and kind != "message":
        return "responses"
    if value.get("role") in ("tool", "developer", "function") and kind is None:
        kinds = _block_kinds(content)
        return "responses" if kinds & _RESPONSES_BLOCKS else "openai"
    if "tool_calls" in value or "function_call" in value:
        return "openai"
    if not isinstance(content, list | tuple):
        return "openai" if kind is None else "responses"
    kinds = _block_kinds(cast("Sequence[Any]", content))
    if kinds & _RESPONSES_BLOCKS or (kind == "message" and "refusal" in kinds):
        return "responses"
    if any(k in _ANTHROPIC_BLOCKS or k.endswith(("_tool_use", "_tool_result")) for k in kinds):
        return "anthropic"
    if kind is None:
        return "openai"
    return "anthropic" if "text" in kinds or "stop_reason" in value else "responses"


def _block_kinds(content: Any) -> set[str]:
    if not isinstance(content, list | tuple):
        return set()
    return {
        str(cast("Mapping[str, Any]", block).get("type"))
        for block in cast("list[Any]", content)
        if isinstance(block, Mapping)
    }


def _fields_of(value: Any) -> Mapping[str, Any]:
    """The wire fields of a dictionary or of an SDK object."""
    fields: Any = value
    if not isinstance(fields, Mapping):
        dumper = _dumper(value)
        fields = dumper(value) if dumper else None
    if not isinstance(fields, Mapping):
        fail(
            "message",
            f"{_a(value)} is not a message; give a dictionary such as "
            '{"role": "assistant", "content": "…"}, a Message, or an SDK object of one',
        )
    wire = mapping_of(fields, "message")
    for field, remedy in (
        ("choices", "choices[0].message"),
        ("output", "output"),
        ("messages", "messages"),
    ):
        if field in wire and "role" not in wire and "type" not in wire:
            fail("message", f"this is a whole response or request; its {remedy} would work")
    return _without_objects(wire)


def _without_objects(wire: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields with SDK objects inside lists as dictionaries: `{"content": reply.content}`."""
    plain: dict[str, Any] = {}
    for field in ("content", "tool_calls"):
        values = wire.get(field)
        if isinstance(values, list | tuple):
            listed = cast("list[Any]", values)
            if any(_dumper(value) is not None for value in listed):
                plain[field] = [d(v) if (d := _dumper(v)) else v for v in listed]
    return {**wire, **plain} if plain else wire


def _dumper(value: Any) -> Any:
    """How an SDK object of this kind becomes a dictionary; None for what is no such object."""
    if isinstance(value, type):
        return None
    if callable(getattr(value, "model_dump", None)):
        return _dump_model
    return _dump_plain if callable(getattr(value, "dict", None)) else None


def _dump_plain(value: Any) -> Any:
    return value.dict()


def _dump_model(value: Any) -> Any:
    try:
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    except TypeError:
        return value.model_dump()


def parse_tool(value: Any) -> Tool:
    """One tool, from a `Tool`, a dictionary of any dialect, or an SDK object."""
    if isinstance(value, Tool):
        return value
    fields = cast("Mapping[str, Any]", value if isinstance(value, Mapping) else _tool_fields(value))
    return cast("Tool", _MODULES[_detect_tool(fields)].parse_tool(fields))


def _tool_fields(value: Any) -> Any:
    dumper = _dumper(value)
    if dumper is None:
        fail(
            "tool",
            f"{_a(value)} is not a tool; give a dictionary with a name, a Tool, or an SDK object of one",
        )
    return dumper(value)


def _a(value: object) -> str:
    """What a value is, in a sentence: `an int`, `a str`, `None`."""
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _detect_tool(value: Mapping[str, Any]) -> Dialect:
    kind = value.get("type", "function")
    if kind == "function" and "function" in value:
        return "openai"
    if "input_schema" in value or (isinstance(kind, str) and _ANTHROPIC_TOOL.fullmatch(kind)):
        return "anthropic"
    return "openai" if kind == "custom" and "custom" in value else "responses"


def parse_tools(values: Iterable[Any] | None) -> list[Tool]:
    """The tools of a call.

    Raises `InvalidMessage` whose text starts with the place, as `tools.2.name`. Two functions of
    one name are refused: no provider takes them.
    """
    listed = values is None or isinstance(cast("object", values), Iterable)
    if not listed or isinstance(values, str | bytes | Mapping):
        fail("tools", f"must be a list, not {type(cast('object', values)).__name__}")
    tools: dict[str, Tool] = {}
    for index, value in enumerate(values or ()):
        try:
            tool = parse_tool(value)
        except InvalidMessage as error:
            raise InvalidMessage(f"tools.{index}.{error}") from None
        if tool.name in tools and not (tool.dialect or tools[tool.name].dialect):
            fail(f"tools.{index}.name", f"{tool.name!r} is already the name of another tool")
        tools[tool.name if tool.name not in tools else f"{tool.name}#{index}"] = tool
    return list(tools.values())


def dump_tools(tools: Iterable[Tool], dialect: Dialect = "openai") -> list[dict[str, Any]]:
    """The dictionaries that `parse_tools` read, in one dialect."""
    return [_MODULES[dialect].dump_tool(tool) for tool in tools]
