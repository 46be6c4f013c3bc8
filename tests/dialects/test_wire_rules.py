"""The rule books see each kind of broken conversation and broken request."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.dialects import anthropic, openai, responses
from contextkit.messages import Message, TextPart, ToolCallPart, ToolResultPart, text_message
from contextkit.validity import problems, wire_problems
from tests.dialects.strategies import conversations

MODULES: dict[str, Any] = {"openai": openai, "anthropic": anthropic, "responses": responses}
ASK = Message("assistant", (ToolCallPart("a", "f", "{}"), ToolCallPart("b", "f", "{}")))
A = Message("tool", (ToolResultPart("a", "1"),))
B = Message("tool", (ToolResultPart("b", "2"),))
HI = text_message("user", "hi")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "nothing to send"),
        ([text_message("user", " ")], "nothing to send"),
        ([HI, A], "messages.1: no open call has the id 'a'"),
        ([HI, ASK, A], "messages.1: call 'b' has no result at the end"),
        ([HI, ASK, A, HI, B], "messages.1: call 'b' has no result before messages.3"),
        ([HI, ASK, A, B, A], "messages.4: no open call has the id 'a'"),
        ([HI, ASK, A, B, ASK, A, B], "messages.4: call id 'a' is used twice"),
        ([HI, ASK, A, text_message("assistant", "x"), B], "call 'b' has no result before"),
        ([Message("user", (ToolCallPart("a", "f", ""),)), A], "a user message holds a tool call"),
        ([ASK, Message("tool", (*A.parts, *B.parts, TextPart("x")))], "holds more than results"),
    ],
)
def test_problems(messages: list[Message], why: str) -> None:
    assert any(why in problem for problem in problems(messages))


def test_no_problems() -> None:
    assert problems([text_message("system", "s"), text_message("assistant", "x")]) == []
    empty = text_message("assistant", "")
    assert problems([HI, ASK, empty, B, A, empty, HI]) == []
    together = Message("user", (*A.parts, TextPart("and"), *B.parts))
    assert problems([ASK, together]) == []


@settings(max_examples=60, deadline=None)
@given(conversations(), st.data())
def test_a_lost_message_shows(messages: list[Message], data: st.DataObject) -> None:
    """Dropping one half of a batch is a problem here and on every wire."""
    halves = [i for i, m in enumerate(messages) if m.tool_calls or m.tool_results]
    if not halves:
        return
    lost = data.draw(st.sampled_from(halves))
    rest = messages[:lost] + messages[lost + 1 :]
    assert problems(rest)
    for name, module in MODULES.items():
        assert wire_problems(module.request(rest), name)


def _drop(path: str) -> Callable[[Any], None]:
    def edit(request: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            request = request[int(step) if step.isdigit() else step]
        del request[int(last) if last.isdigit() else last]

    return edit


def _put(path: str, value: Any) -> Callable[[Any], None]:
    def edit(request: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            request = request[int(step) if step.isdigit() else step]
        request[int(last) if last.isdigit() else last] = value

    return edit


EDITS = [
    ("openai", _drop("messages.2")),
    ("openai", _drop("messages.1")),
    ("openai", _put("messages.0.timestamp", "t")),
    ("openai", _put("messages.0.role", "king")),
    ("openai", _put("messages.0.content", "")),
    ("openai", _put("messages.1.tool_calls", [])),
    ("openai", _put("messages.1.tool_calls.1.id", "a")),
    ("openai", _put("messages.1.tool_calls.1.function.arguments", {})),
    ("openai", _put("messages.1.tool_calls.1.function.name", "a b")),
    ("openai", _put("messages.0.content", [{"type": "tool_result"}])),
    ("openai", _put("tools", [])),
    ("openai", _put("messages.0.content", "\ud800")),
    ("anthropic", _drop("messages.0")),
    ("anthropic", _drop("messages.2")),
    ("anthropic", _drop("messages.2.content.0")),
    ("anthropic", _put("messages.0.name", "x")),
    ("anthropic", _put("messages.0.content", " ")),
    ("anthropic", _put("messages.0.content", [])),
    ("anthropic", _put("messages.1.role", "user")),
    ("anthropic", _put("messages.1.content.0.input", "{}")),
    ("anthropic", _put("messages.1.content.0.id", "a b")),
    ("anthropic", _put("messages.1.content.1.id", "a")),
    ("anthropic", _put("messages.1.content.0", {"type": "thinking", "thinking": "x"})),
    ("anthropic", _put("messages.2.content.0", {"type": "text", "text": "first"})),
    ("anthropic", _put("messages.1.content.0.cache_control", {"type": "eternal"})),
    ("responses", _drop("input.1")),
    ("responses", _drop("input.3")),
    ("responses", _put("input.1.call_id", "b")),
    ("responses", _put("input.1.id", "fc_1")),
    ("responses", _put("input.0.timestamp", "x")),
    ("responses", _put("input.0.content", [{"type": "text", "text": "x"}])),
    ("responses", _put("input.4", {"type": "reasoning", "id": "rs", "summary": []})),
    ("responses", _put("tools", [{"type": "function", "name": "f"}])),
]


@pytest.mark.parametrize(("name", "edit"), EDITS)
def test_wire_problems(name: str, edit: Callable[[Any], None]) -> None:
    request = MODULES[name].request([HI, ASK, A, B])
    assert wire_problems(request, name) == []
    broken = copy.deepcopy(request)
    edit(broken)
    assert wire_problems(broken, name)


def test_too_many_and_misordered_cache_points() -> None:
    short: dict[str, Any] = {"type": "ephemeral"}
    block = {"type": "text", "text": "x"}
    many = [{**block, "cache_control": short} for _ in range(5)]
    assert wire_problems({"messages": [{"role": "user", "content": many}]}, "anthropic")
    hour = {**block, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    late = [many[0], hour]
    assert wire_problems({"messages": [{"role": "user", "content": late}]}, "anthropic")
    assert not wire_problems({"messages": [{"role": "user", "content": late[::-1]}]}, "anthropic")
