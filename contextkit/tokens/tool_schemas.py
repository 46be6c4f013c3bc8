"""What tool schemas cost: OpenAI's published count for functions, and the schema as compact JSON.

The first follows the OpenAI cookbook ("How to count tokens with tiktoken", section 7: tool calls),
which covers flat objects; nested objects, arrays and alternatives are counted here by the same
rule, level by level. Where that reading may be too low, the JSON bounds it from above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from contextkit.tokens.material import Material
from contextkit.tools import Tool

_PROPERTIES, _KEY, _ENUM, _ENUM_ITEM, _END = 3, 3, -3, 3, 12
JSON_TOOL_TOKENS = 12
"""An allowance for what surrounds one schema in a template that writes it as JSON."""


def cookbook_material(tools: Sequence[Tool], function_tokens: int) -> Material:
    """OpenAI's count: `function_tokens` is 7 for gpt-4o and later, 10 for gpt-4 and gpt-3.5."""
    material = Material()
    for tool in tools:
        if tool.dialect:  # a provider's own tool: no schema, a wire form of its own
            material.texts.append(tool_json(tool))
            material.known += JSON_TOOL_TOKENS
            continue
        material.known += function_tokens
        material.texts.append(f"{tool.name}:{tool.description.removesuffix('.')}")
        _add_properties(material, tool.parameters or {})
    if not all(tool.dialect for tool in tools):
        material.known += _END
    return material


def json_material(tools: Sequence[Tool]) -> Material:
    """Every tool as compact JSON, with an allowance for what surrounds it."""
    return Material([tool_json(tool) for tool in tools], known=JSON_TOOL_TOKENS * len(tools))


def tool_json(tool: Tool) -> str:
    """Name, description and schema, or a provider's own tool, as compact JSON."""
    value: dict[str, Any] = dict(tool.extra)
    if not tool.dialect:
        value |= {"name": tool.name, "description": tool.description}
        value["parameters"] = tool.parameters or {}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)


def _add_properties(material: Material, schema: Mapping[str, Any]) -> None:
    """The properties of one object, each as `name:type:description`, then what lies below them."""
    for level in _objects(schema):
        properties = _mapping(level.get("properties"))
        if properties:
            material.known += _PROPERTIES
        for key, value in properties.items():
            _add_property(material, key, _mapping(value))


def _add_property(material: Material, key: str, schema: Mapping[str, Any]) -> None:
    material.known += _KEY
    if "enum" in schema:
        material.known += _ENUM
        for item in cast("Sequence[object]", schema["enum"]):
            material.known += _ENUM_ITEM
            material.texts.append(str(item))
    description = str(schema.get("description", "")).removesuffix(".")
    material.texts.append(f"{key}:{schema.get('type', '')}:{description}")
    for level in _below(schema):
        _add_properties(material, level)


def _objects(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema itself and its named definitions, each of which is written once."""
    yield schema
    for group in ("$defs", "definitions"):
        yield from map(_mapping, _mapping(schema.get(group)).values())


def _below(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The object itself, an array's items and every alternative, as far as they hold properties."""
    yield schema
    items = _mapping(schema.get("items"))
    if items:
        yield from _below(items)
    for word in ("anyOf", "oneOf", "allOf"):
        for choice in cast("Sequence[object]", schema.get(word, ())):
            yield from _below(_mapping(choice))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
