"""Tools as the Responses API writes them, read and written back without loss."""

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
from contextkit.messages import (
    NO_EXTRA,
)
from contextkit.tools import Tool


def parse_tool(value: Mapping[str, Any]) -> Tool:
    """One tool dictionary as a `Tool`; a tool that is not a function is kept whole."""
    kind = text_of(value.get("type", "function"), "type")
    if kind != "function":
        whole = json_copy(dict(value), "tool")
        return Tool(str(whole.get("name") or kind), dialect="responses", extra=whole)
    known = ["type", "name"]
    description, parameters = value.get("description"), value.get("parameters")
    if description:
        known.append("description")
    if parameters is not None:
        known.append("parameters")
        parameters = json_copy(mapping_of(parameters, "parameters"), "parameters")
    extra = marked(rest_of(value, known), **{ABSENT: None if "type" in value else "type"})
    name = id_of(value.get("name"), "name")
    return Tool(
        name, text_of(description or "", "description"), parameters, extra=extra or NO_EXTRA
    )


def dump_tool(tool: Tool) -> dict[str, Any]:
    """The dictionary that `parse_tool` read."""
    if tool.dialect:
        return dict(tool.extra)
    out: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        out["description"] = tool.description
    if tool.parameters is not None:
        out["parameters"] = tool.parameters
    if ABSENT in tool.extra:
        del out["type"]
    return out | visible(tool.extra)
