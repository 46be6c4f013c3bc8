"""Tools as Chat Completions writes them, read and written back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.dialects.fields import (
    ABSENT,
    id_of,
    json_copy,
    mapping_of,
    marked,
    rest_of,
    text_of,
    visible,
)
from contextkit.tools import Tool


def parse_tool(value: Mapping[str, Any]) -> Tool:
    """One tool dictionary as a `Tool`; a tool that is not a function is kept whole."""
    kind = text_of(value.get("type", "function"), "type")
    if kind != "function":
        whole = json_copy(dict(value), "tool")
        inner = mapping_of(whole.get(kind, {}), kind)
        name = str(inner.get("name") or kind)
        return Tool(name, dialect="openai", extra=whole)
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
