"""Tool schemas: the cookbook's own example and formula, nesting, and the bound from above."""

from __future__ import annotations

from typing import Any

import pytest
import tiktoken

from contextkit.messages import text_message
from contextkit.tokens import TiktokenCounter, add
from contextkit.tokens.rank_files import ENCODINGS, load_encoding
from contextkit.tokens.tool_schemas import tool_json
from contextkit.tools import Tool

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {
            "type": "string",
            "description": "The city and state, e.g. San Francisco, CA",
        },
        "unit": {
            "type": "string",
            "description": "The unit of temperature to return",
            "enum": ["celsius", "fahrenheit"],
        },
    },
    "required": ["location"],
}


def cookbook(encoding: tiktoken.Encoding, tools: list[Tool], function_tokens: int) -> int:
    """The cookbook's loop for flat schemas, written down again."""
    n = 0
    for tool in tools:
        n += function_tokens + len(encoding.encode(f"{tool.name}:{tool.description.rstrip('.')}"))
        properties = dict(tool.parameters or {}).get("properties", {})
        n += 3 if properties else 0
        for key, value in properties.items():
            n += 3
            if "enum" in value:
                n -= 3
                n += sum(3 + len(encoding.encode(item)) for item in value["enum"])
            line = f"{key}:{value['type']}:{value['description'].rstrip('.')}"
            n += len(encoding.encode(line))
    return n + 12


@pytest.mark.parametrize(("encoding", "function_tokens"), [("o200k_base", 7), ("cl100k_base", 10)])
def test_flat_schemas_follow_the_cookbook(encoding: str, function_tokens: int) -> None:
    tools = [
        Tool("get_current_weather", "Get the current weather in a given location", WEATHER),
        Tool("ping", "No arguments at all.", {"type": "object", "properties": {}}),
        Tool("bare", "No schema at all."),
    ]
    counter = TiktokenCounter(encoding)
    frame = counter.measure_frame(tools)
    expected = 3 + cookbook(load_encoding(encoding), tools, function_tokens)
    assert counter.tokens(frame) == expected
    assert counter.upper(frame) >= expected


def test_cookbook_example_as_openai_counted_it() -> None:
    """The cookbook's last example: gpt-4o reported 101 prompt tokens for it."""
    tool = Tool("get_current_weather", "Get the current weather in a given location", WEATHER)
    counter = TiktokenCounter("o200k_base")
    measure = counter.measure_frame([tool])
    for message in (
        text_message(
            "system", "You are a helpful assistant that can answer to questions about the weather."
        ),
        text_message("user", "What's the weather like in San Francisco?"),
    ):
        measure = add(measure, counter.measure(message))
    assert counter.tokens(measure) == 101


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: {"type": "array", "items": inner},
        lambda inner: {"anyOf": [inner, {"type": "null"}]},
        lambda inner: {"type": "array", "items": {"oneOf": [inner, {"type": "string"}]}},
    ],
)
def test_nested_properties_are_counted(encoding: str, wrap: Any) -> None:
    counter = TiktokenCounter(encoding)
    nested = {"type": "object", "properties": {"places": wrap(WEATHER)}}
    flat = {"type": "object", "properties": {"places": {"type": "object"}}}
    inside, outside = (counter.measure_frame([Tool("find", "", s)]) for s in (nested, flat))
    assert counter.tokens(inside) > counter.tokens(outside) + 25
    assert counter.upper(inside) >= counter.count(tool_json(Tool("find", "", nested)))


def test_definitions_are_counted_once() -> None:
    counter = TiktokenCounter()
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/w"}, "b": {"$ref": "#/$defs/w"}},
        "$defs": {"w": WEATHER},
    }
    without = {key: value for key, value in schema.items() if key != "$defs"}
    more, less = (counter.measure_frame([Tool("find", "", s)])[0] for s in (schema, without))
    assert 25 < more - less < 60


def test_a_providers_own_tool_counts_as_its_wire_form() -> None:
    counter = TiktokenCounter()
    own = Tool("web_search", dialect="openai", extra={"type": "web_search", "filters": {"a": 1}})
    assert tool_json(own) == '{"type":"web_search","filters":{"a":1}}'
    assert counter.measure_frame([own])[0] == 3 + 12 + counter.count(tool_json(own))


def test_no_tools_cost_only_the_reply_priming() -> None:
    assert TiktokenCounter().measure_frame(()) == (3, 3)
