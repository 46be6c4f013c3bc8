"""Requests are valid for their provider and keep what was said, whatever the origin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit.call import CachePoint
from contextkit.dialects import anthropic, openai, parse_messages, parse_tools, responses, text
from contextkit.dialects.anthropic.outgoing import CONTINUED
from contextkit.messages import Message, TextPart, ToolCallPart, ToolResultPart, text_message
from contextkit.validity import problems, wire_problems
from tests.dialects.samples import ANTHROPIC, OPENAI, RESPONSES, TOOLS
from tests.dialects.strategies import conversations, texts

MODULES: dict[str, Any] = {"openai": openai, "anthropic": anthropic, "responses": responses}
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(conversations())
@pytest.mark.parametrize("name", MODULES)
def test_requests_are_valid_and_keep_what_was_said(name: str, messages: list[Message]) -> None:
    assert problems(messages) == []
    request = MODULES[name].request(messages)
    assert wire_problems(request, name) == []
    assert MODULES[name].request(messages) == request
    sent = texts(request)
    for message in messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                assert part.text.strip() in sent
            elif isinstance(part, ToolResultPart):
                assert part.text.strip() in sent or not isinstance(part.content, str)
    n_calls = sum(len(m.tool_calls) for m in messages)
    calls, results = _calls_and_results(request, name)
    assert len(calls) == n_calls == len(results)
    assert sorted(calls) == sorted(results)


def _calls_and_results(request: dict[str, Any], name: str) -> tuple[list[str], list[str]]:
    if name == "responses":
        items = request["input"]
        calls = [i["call_id"] for i in items if i.get("type") == "function_call"]
        return calls, [i["call_id"] for i in items if i.get("type") == "function_call_output"]
    messages = request["messages"]
    if name == "openai":
        calls = [c["id"] for m in messages for c in m.get("tool_calls", ())]
        return calls, [m["tool_call_id"] for m in messages if m["role"] == "tool"]
    blocks = [b for m in messages if isinstance(m["content"], list) for b in m["content"]]
    calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
    return calls, [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]


@quick
@given(conversations(), st.data())
def test_cache_points_are_valid(messages: list[Message], data: st.DataObject) -> None:
    places = st.builds(CachePoint, st.integers(0, len(messages)), st.sampled_from(["5m", "1h"]))
    points = data.draw(st.lists(places, max_size=6))
    tools = parse_tools(data.draw(st.sampled_from([[], TOOLS["openai"], TOOLS["anthropic"]])))
    request = anthropic.request(messages, tools, points)
    assert wire_problems(request, "anthropic") == []
    if any(point.after == len(messages) for point in points):
        assert "ephemeral" in texts(request)


@quick
@given(conversations())
def test_native_forms_of_foreign_messages_read_back(messages: list[Message]) -> None:
    for name, module in MODULES.items():
        request = module.request(messages)
        values = request.get("messages") or request["input"]
        again = [module.parse(value) for value in values]
        assert [module.dump(message) for message in again] == values
        assert problems(again) == []
        assert wire_problems(module.request(again), name) == []


@pytest.mark.parametrize("value", [*OPENAI, *ANTHROPIC, *RESPONSES])
@pytest.mark.parametrize("name", MODULES)
def test_every_real_shape_can_be_sent_everywhere(name: str, value: dict[str, Any]) -> None:
    message = parse_messages([value])[0]
    before = [text_message("user", "hi")]
    calls = tuple(ToolCallPart(r.call_id, "f", "{}") for r in message.tool_results)
    before += [Message("assistant", calls)] if calls else []
    after = [Message("tool", (ToolResultPart(c.id, "fine"),)) for c in message.tool_calls]
    paired = [p.extra for p in message.tool_calls] + [p.extra for p in message.tool_results]
    if any("_item" in extra for extra in paired):
        return  # its partner is another item of the same provider, which is not at hand here
    if message.tool_results and message.tool_results[0].extra.get("type") == "custom":
        return
    whole = [*before, message, *after, text_message("user", "and?")]
    assert problems(whole) == []
    assert wire_problems(MODULES[name].request(whole), name) == []
    assert "and?" in text.render(whole)


def conversation() -> list[Message]:
    """Two calls at once, answered; then an answer and a question."""
    return parse_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?", "timestamp": "t"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": i,
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": 1}'},
                    }
                    for i in ("a", "b")
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
            {"role": "tool", "tool_call_id": "b", "content": "rain"},
            {"role": "user", "content": "And tomorrow?"},
            {"role": "system", "content": "It is late."},
        ]
    )


def test_openai_to_anthropic_by_hand() -> None:
    request = anthropic.request(conversation(), (), [CachePoint(1, "1h"), CachePoint(5)])
    mark = {"cache_control": {"type": "ephemeral"}}
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert request == {
        "system": [{"type": "text", "text": "Be brief.", **hour}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": i, "name": "f", "input": {"a": 1}}
                    for i in ("a", "b")
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "sun"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "rain", **mark},
                    {"type": "text", "text": "And tomorrow?"},
                    {"type": "text", "text": "<system>\nIt is late.\n</system>"},
                ],
            },
        ],
    }


def test_anthropic_to_openai_by_hand() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    answer = {"type": "tool_result", "tool_use_id": "a", "content": [image], "is_error": True}
    calls = [{"type": "tool_use", "id": i, "name": "f", "input": {"a": 1}} for i in "ab"]
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = parse_messages(
        [
            {"role": "user", "content": "go", "usage": {"n": 1}},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "ok"}, *calls]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "more"},
                    answer,
                    {"type": "tool_result", "tool_use_id": "b", "content": "fine"},
                ],
            },
        ]
    )
    sent = openai.request(messages)["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert sent[0] == {"role": "user", "content": "go"}
    assert sent[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert sent[2]["content"] == [{"type": "text", "text": "[image: image/png]"}]
    assert sent[4]["content"][1]["image_url"] == {"url": "data:image/png;base64,AA"}
    assert sent[5] == {"role": "user", "content": [{"type": "text", "text": "more"}]}
    back = anthropic.request(messages)["messages"]
    assert back[1]["content"][0] == thought
    assert back[2]["content"][0] == answer


def test_the_ends_of_an_anthropic_request() -> None:
    said = parse_messages([{"role": "assistant", "content": "Once upon a time \n"}])
    assert anthropic.request(said)["messages"] == [
        {"role": "user", "content": CONTINUED},
        {"role": "assistant", "content": "Once upon a time"},
    ]
    assert wire_problems(anthropic.request(parse_messages([])), "anthropic") == []


def test_cache_points_move_off_thinking_and_users_marks_go_first() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    marked = [{"type": "text", "text": f"t{i}", **mark} for i in range(4)]
    messages = parse_messages(
        [
            {"role": "user", "content": marked},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "h", "signature": "s"}],
            },
            {"role": "assistant", "content": "yes"},
        ]
    )
    content = anthropic.request(messages, (), [CachePoint(2), CachePoint(3, "1h")])["messages"]
    assert [("cache_control" in b) for b in content[0]["content"]] == [False, True, True, True]
    assert content[1]["content"][1] == {"type": "text", "text": "yes", **mark}
    tools = parse_tools(TOOLS["openai"][:2])
    assert anthropic.request(messages, tools, [CachePoint(0, "1h")])["tools"][1][
        "cache_control"
    ] == {
        "type": "ephemeral",
        "ttl": "1h",
    }
    alone = anthropic.request(conversation(), (), [CachePoint(0)])
    assert alone["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_reasoning_items_go_with_what_follows_them() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "fine"}
    end = {"role": "user", "content": "and?"}
    with_it = parse_messages([end, reasoning, call, output, end])
    assert responses.request(with_it)["input"] == [end, reasoning, call, output, end]
    without = responses.request(parse_messages([end, call, output, end]))["input"]
    assert "id" not in without[1]
    assert responses.request(parse_messages([end, reasoning, end]))["input"] == [end, end]


def test_render() -> None:
    assert text.render(conversation()).split("\n\n")[:4] == [
        "[system] Be brief.",
        "[user] Weather?",
        '[assistant] f({"a": 1})\nf({"a": 1})',
        "[tool result a] sun",
    ]
