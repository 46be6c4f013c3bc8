"""Tools as the Anthropic API writes them, read and written back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.dialects.fields import (
    fail,
    id_of,
    json_copy,
    mapping_of,
    rest_of,
    text_of,
    visible,
)
from contextkit.tools import Tool


def parse_tool(value: Mapping[str, Any]) -> Tool:
    """One tool dictionary as a `Tool`; a tool that Anthropic built is kept whole."""
    if "input_schema" not in value:
        whole = json_copy(dict(value), "tool")
        if "type" not in value:
            fail("input_schema", "is missing; {'type': 'object', 'properties': {}} would work")
        return Tool(str(whole.get("name") or whole["type"]), dialect="anthropic", extra=whole)
    known = ["name", "input_schema"]
    if description := value.get("description"):
        known.append("description")
    schema = json_copy(mapping_of(value["input_schema"], "input_schema"), "input_schema")
    name = id_of(value.get("name"), "name")
    return Tool(
        name, text_of(description or "", "description"), schema, extra=rest_of(value, known)
    )


def dump_tool(tool: Tool) -> dict[str, Any]:
    """The dictionary that `parse_tool` read."""
    if tool.dialect:
        return dict(tool.extra)
    out: dict[str, Any] = {"name": tool.name}
    if tool.description:
        out["description"] = tool.description
    out["input_schema"] = tool.parameters
    if tool.parameters is None:
        out["input_schema"] = {"type": "object", "properties": {}}
    return out | visible(tool.extra)
