"""What cannot be part of a conversation is refused, with its place and what would work."""

from __future__ import annotations

from typing import Any

import pytest

from contextkit.dialects import parse_message, parse_messages, parse_tools
from contextkit.dialects.anthropic.arguments import tool_input
from contextkit.errors import InvalidMessage

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BAD: list[tuple[Any, str]] = [
    ({"role": "king", "content": "x"}, "messages.0.role: 'king' is unknown; one of system"),
    ({"content": "x"}, "messages.0.role: is missing"),
    ({"role": ["user"], "content": "x"}, "messages.0.role: "),
    ({"role": "function", "name": "f", "content": "x"}, "use role 'tool'"),
    (
        {"role": "user", "content": 3},
        "messages.0.content: must be text or a list of blocks, not int",
    ),
    ({"role": "user", "content": {"type": "text"}}, "messages.0.content: must be text or a list"),
    ({"role": "user", "content": ["x"]}, "messages.0.content.0: must be an object"),
    ({"role": "user", "content": [{"text": "x"}]}, "messages.0.content.0.type: is missing"),
    ({"role": "user", "content": [{"type": "text"}]}, "messages.0.content.0.text: must be text"),
    (
        {"role": "user", "content": "ab\ud83d"},
        "messages.0.content: character 2 is a lone surrogate",
    ),
    ({"role": "user", "content": "x", "n": {"a": "\udc00"}}, "messages.0.n: character"),
    ({"role": "user", "content": "x", "n": {1, 2}}, "messages.0.n: must be a JSON value"),
    ({"role": "user", "content": "x", "n": float("nan")}, "messages.0.n: must be a JSON value"),
    ({"role": "tool", "content": "x"}, "messages.0.tool_call_id: must be text"),
    ({"role": "tool", "content": "x", "tool_call_id": ""}, "tool_call_id: must not be empty"),
    ({"role": "assistant", "tool_calls": {}, "content": 4}, "messages.0.content"),
    ({"role": "assistant", "tool_calls": "f()"}, "messages.0.tool_calls: must be a list"),
    (
        {"role": "assistant", "tool_calls": [{**CALL, "id": None}]},
        "messages.0.tool_calls.0.id: must",
    ),
    (
        {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]},
        "messages.0.tool_calls.0.function.arguments: must be the JSON text the model wrote; json.dumps",
    ),
    ({"role": "assistant", "function_call": {"name": "f"}}, "use tool_calls"),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": "u"}]},
        "{'url': …} would work",
    ),
    ({"role": "user", "content": [{"type": "tool_result"}]}, "messages.0.content.0.tool_use_id"),
    (
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "x"}],
        },
        "messages.0.content.0.input: must be an object",
    ),
    ({"type": "function_call", "name": "f", "arguments": "{}"}, "messages.0.call_id: must be text"),
    ({"type": "function_call_output", "call_id": "a", "output": 3}, "messages.0.output: must be"),
    ({"choices": []}, "choices[0].message would work"),
    (3, "messages.0.message: an int is not a message; give a dictionary"),
    (None, "messages.0.message: None is not a message"),
    ("a text", "messages.0.message: a str is not a message"),
]


@pytest.mark.parametrize(("value", "why"), BAD)
def test_refused_with_the_place(value: Any, why: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        parse_messages([value])
    assert why in str(error.value)


def test_deep_nesting_is_refused_not_a_crash() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidMessage, match="n: must be a JSON value"):
        parse_message({"role": "user", "content": "x", "n": deep})


@pytest.mark.parametrize("value", [3, None, b"bytes"])
def test_no_messages(value: Any) -> None:
    with pytest.raises(InvalidMessage, match="messages: must be text, a message or a list"):
        parse_messages(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([{"type": "function", "function": {}}], "tools.0.function.name: must be text"),
        (
            [{"name": "f", "input_schema": {}}, {"name": "f", "parameters": {}}],
            "tools.1.name: 'f' is",
        ),
        ([{"name": "f", "input_schema": []}], "tools.0.input_schema: must be an object"),
        ([print], "tools.0.tool: "),
        ("f", "tools: must be a list"),
    ],
)
def test_bad_tools(value: Any, why: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        parse_tools(value)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", {}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", {"_raw": "[1]"}),
        ("{oops", {"_raw": "{oops"}),
        ('{"a": NaN}', {"_raw": '{"a": NaN}'}),
        ('{"a": 1e999}', {"_raw": '{"a": 1e999}'}),
        ('{"a": "\\ud800"}', {"_raw": '{"a": "\\ud800"}'}),
        ("[" * 100_000, {"_raw": "[" * 100_000}),
    ],
)
def test_arguments_as_an_object(arguments: str, sent: dict[str, Any]) -> None:
    assert tool_input(arguments) == sent
