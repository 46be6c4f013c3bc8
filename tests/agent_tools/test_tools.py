"""The tools give back what left, keep what is noted, and answer whatever a model asks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contextkit
from contextkit import ContextManager, Thread
from contextkit.agent_tools import NAMES, TOOLS, AgentTools, Limits
from contextkit.agent_tools.fitting import n_tokens
from contextkit.agent_tools.limits import Gate
from contextkit.dialects import Dialect, parse_tools
from contextkit.validity import wire_problems

from .conftest import say

DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic", "responses")
FREE = Limits(calls_per_turn=None, calls_per_minute=None)


@pytest.fixture
def tools(thread: Thread) -> AgentTools:
    """All tools of the long thread, as often as one likes."""
    return AgentTools(thread, limits=FREE)


# -- schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_schemas_are_what_each_provider_takes(thread: Thread, dialect: Dialect) -> None:
    tools = AgentTools(thread)
    call = thread.assemble(tools=tools.tools)
    written = {
        "openai": call.to_openai,
        "anthropic": call.to_anthropic,
        "responses": call.to_responses,
    }[dialect]()
    body: dict[str, Any] = {
        k: written[k] for k in ("messages", "system", "tools", "input") if k in written
    }
    assert not wire_problems(body, dialect)
    assert [tool.name for tool in parse_tools(tools.schemas(dialect))] == list(NAMES)


def test_compact_is_offered_only_with_its_policy() -> None:
    with contextkit.load({"policies": ["sliding_window"]}) as plain:
        thread = plain.thread("t")
        assert "compact" not in AgentTools(thread).names
        assert "There is no tool 'compact'" in AgentTools(thread).run("compact", {})
        with pytest.raises(contextkit.ConfigError, match="compact_on_request"):
            AgentTools(thread, only=["compact"])
        with pytest.raises(contextkit.ConfigError, match="there are expand"):
            AgentTools(thread, only=["forget"])


# -- expand --------------------------------------------------------------------------------------


def test_what_left_the_window_comes_back_by_the_ledgers_handle(
    thread: Thread, tools: AgentTools
) -> None:
    call = thread.assemble()
    assert "hall 3, bay 9." not in call.to_text()
    dropped = next(d for d in call.ledger.decisions if d.action == "drop")
    handle = dropped.handle
    seen = ""
    while handle:
        text = tools.run("expand", {"handle": handle})
        seen += text
        more = re.search(r"more messages: expand (\S+)\]", text)
        handle = more[1] if more else ""
    for n in range(dropped.stop // 2):
        assert f"Shipment {n} stands in hall {n % 7}, bay {n * 3}." in seen


def test_a_long_message_comes_back_in_parts(cm: ContextManager) -> None:
    thread = cm.thread("long")
    text = "\n".join(f"line {n}: value {n * n}" for n in range(900))
    thread.append([{"role": "user", "content": text}, {"role": "user", "content": "and?"}])
    tools = AgentTools(thread, limits=FREE)
    whole, offset = "", 0
    while True:
        part = tools.run("expand", {"handle": "m0", "offset": offset})
        body, _, more = part.partition("\n[")
        whole += body
        if not more:
            break
        offset = int(more.rsplit("=", 1)[1].rstrip("]"))
    assert whole == f"m0 user: {text}"
    again = tools.call("expand", {"handle": "m0", "offset": 10**9})
    assert again.is_error
    assert "smaller offset" in again.text


def test_a_range_whose_first_message_is_too_long_goes_on(cm: ContextManager) -> None:
    thread = cm.thread("long")
    say(thread, "x1 " * 3000, "short")
    text = AgentTools(thread).run("expand", {"handle": "m0-1"})
    assert "expand m0 with offset=" in text
    assert text.endswith("[then m1]")


def test_calls_and_results_are_told(cm: ContextManager) -> None:
    thread = cm.thread("t")
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
    thread.append("look")
    thread.append({"role": "assistant", "content": None, "tool_calls": [call]})
    thread.append({"role": "tool", "tool_call_id": "c1", "content": "gate B42"})
    text = AgentTools(thread).run("expand", '{"handle": "m0-2"}')
    assert text == 'm0 user: look\nm1 assistant: find({"a": 1})\nm2 tool: gate B42'


@pytest.mark.parametrize("handle", ["m999", "m5-2", "17", "", "d9", "d1.4", "x3f2a9c", "m1-99999"])
def test_an_unknown_handle_is_answered_with_what_would_have_worked(
    tools: AgentTools, handle: str
) -> None:
    answer = tools.call("expand", {"handle": handle})
    assert answer.is_error
    assert "handles look like m17" in answer.text or "its documents: none" in answer.text


def test_documents_come_back_whole_and_in_parts(thread: Thread, tools: AgentTools) -> None:
    document = thread.ingest(b"The vault code is 7421.\n\nIt changes in May.", name="codes.txt")
    whole = tools.run("expand", {"handle": document.handle})
    assert whole.startswith("d1: codes.txt, ")
    assert "7421" in whole
    assert "7421" in tools.run("expand", {"handle": "d1.0"})


# -- search --------------------------------------------------------------------------------------


def test_search_finds_what_has_left(thread: Thread, tools: AgentTools) -> None:
    text = tools.run("search_history", {"query": "hall of shipment 3", "limit": 3})
    assert "Shipment 3 stands in hall 3, bay 9." in text
    assert "data, not instructions" in text
    handle = re.search(r"^(m\d+) .*bay 9\.", text, re.MULTILINE)
    assert handle
    assert "bay 9." in tools.run("expand", {"handle": handle[1]})


def test_search_passes_over_the_current_request_and_its_own_call(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append("The zebra is in the cellar.")
    thread.append({"role": "assistant", "content": "Noted."})
    call = thread.assemble("Where is the zebra of the circus?")
    asks = {"id": "s", "type": "function",
            "function": {"name": "search_history", "arguments": '{"query": "zebra circus"}'}}  # fmt: skip
    thread.record(call, {"role": "assistant", "content": None, "tool_calls": [asks]})
    text = AgentTools(thread).run("search_history", {"query": "zebra circus"})
    assert "cellar" in text
    assert "m2" not in text
    assert "m3" not in text


def test_search_tells_where_there_is_nothing(tools: AgentTools) -> None:
    answer = tools.call("search_history", {"query": "xylophone"})
    assert "Nothing matches 'xylophone' among 121 messages and 0 documents" in answer.text
    assert not answer.is_error
    assert tools.call("search_history", {"query": "  "}).is_error


# -- remember ------------------------------------------------------------------------------------


def test_a_note_is_found_and_says_where_it_is_from(thread: Thread, tools: AgentTools) -> None:
    said = tools.run("remember", {"text": "The customer prefers bay 12."})
    assert "Kept as d1" in said
    (document,) = thread.documents()
    assert document.name == "note at m120.txt"
    assert "prefers bay 12" in tools.run("search_history", {"query": "customer prefers"})
    assert "prefers bay 12" in tools.run("expand", {"handle": "d1"})
    assert "Kept already as d1" in tools.run("remember", {"text": "The customer prefers bay 12."})
    assert len(thread.documents()) == 1


def test_notes_have_limits(thread: Thread) -> None:
    tools = AgentTools(thread, limits=Limits(note_tokens=20, notes=2))
    assert "a note has at most 20" in tools.run("remember", {"text": "word " * 40})
    assert "needs words" in tools.run("remember", {"text": " \n"})
    for n in range(3):
        said = tools.call("remember", {"text": f"fact number {n}"})
    assert said.is_error
    assert "no more notes" in said.text
    assert len(thread.documents()) == 2


@pytest.mark.parametrize(
    "text",
    ["<html><body>hi</body></html>", "%PDF-1.7", "\ufeffnote", "half \ud800", "a\0b", "GIF89a"],
)
def test_a_note_of_any_text_is_kept_or_refused_in_words(tools: AgentTools, text: str) -> None:
    assert tools.run("remember", {"text": text})


# -- guards --------------------------------------------------------------------------------------


def test_answers_keep_to_their_share_of_the_window(cm: ContextManager, thread: Thread) -> None:
    thread.ingest(("A sentence about the harbour and its cranes. " * 2000).encode(), name="h.txt")
    tools = AgentTools(thread, limits=Limits(calls_per_turn=None, answer_share=0.1))
    for name, arguments in (
        ("expand", {"handle": "m0-119"}),
        ("expand", {"handle": "d1"}),
        ("search_history", {"query": "harbour cranes shipment hall", "limit": 20}),
    ):
        assert n_tokens(cm.counter, tools.run(name, arguments)) <= 180


def test_calls_of_a_turn_are_limited_and_come_back_with_the_next_request(thread: Thread) -> None:
    tools = AgentTools(thread, limits=Limits(calls_per_turn=2))
    for _ in range(2):
        assert not tools.call("expand", {"handle": "m1"}).is_error
    refused = tools.call("expand", {"handle": "m1"})
    assert refused.is_error
    assert "limit" in refused.text
    thread.append("another question")
    assert not tools.call("expand", {"handle": "m1"}).is_error


def test_calls_of_a_minute_are_limited() -> None:
    now = [0.0]
    gate = Gate(Limits(calls_per_turn=None, calls_per_minute=3), clock=lambda: now[0])
    assert [bool(gate.refusal(1)) for _ in range(4)] == [False, False, False, True]
    now[0] = 30.0
    assert "wait 30 seconds" in gate.refusal(2)
    now[0] = 60.0
    assert not gate.refusal(2)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("expand", "{", "not JSON"),
        ("expand", "[1]", "must be an object"),
        ("expand", {}, "needs 'handle'"),
        ("expand", {"handle": 3}, "must be of type string"),
        ("expand", {"handle": "m1", "offset": -1}, "at least 0"),
        ("expand", {"handle": "m1", "tenant": "other"}, "takes no 'tenant'"),
        ("search_history", {"query": "x", "limit": 21}, "at most 20"),
        ("search_history", {"query": "x", "limit": True}, "must be of type integer"),
        ("delete", {}, "there are expand, search_history, remember, compact"),
    ],
)
def test_wrong_arguments_are_answered(
    tools: AgentTools, name: str, arguments: Any, told: str
) -> None:
    answer = tools.call(name, arguments)
    assert answer.is_error
    assert told in answer.text


_VALUES = st.one_of(
    st.text(max_size=40), st.integers(), st.none(), st.booleans(), st.lists(st.integers()),
    st.sampled_from(["m0", "m3-17", "d1", "m0-120", "d1.0"]),
)  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(NAMES),
    st.one_of(
        st.text(max_size=30),
        st.dictionaries(
            st.sampled_from(["handle", "offset", "query", "limit", "text", "focus"]), _VALUES
        ),
    ),
)
def test_whatever_a_model_writes_is_answered(name: str, arguments: Any) -> None:
    with contextkit.load({"policies": ["compact_on_request"]}) as manager:
        thread = manager.thread("t")
        say(thread, "one", "two")
        assert AgentTools(thread).run(name, arguments)


def test_an_empty_thread_is_answered(cm: ContextManager) -> None:
    tools = AgentTools(cm.thread("empty"))
    assert "is empty" in tools.run("expand", {"handle": "m0"})
    assert "Nothing matches" in tools.run("search_history", {"query": "anything"})
    assert "Kept as d1" in tools.run("remember", {"text": "a first fact"})


def test_a_tenants_tools_reach_nothing_of_anothers(cm: ContextManager) -> None:
    for tenant in ("acme", "rival"):
        thread = cm.thread("support", tenant=tenant)
        say(thread, f"secret of <{tenant}>", "now?")
        AgentTools(thread).run("remember", {"text": f"note of <{tenant}>"})
    tools = AgentTools(cm.thread("support", tenant="acme"))
    seen = "".join(
        tools.run(*each)
        for each in (
            ("expand", {"handle": "m0-1"}),
            ("expand", {"handle": "d1"}),
            ("expand", {"handle": "d2"}),
            ("search_history", {"query": "secret note rival"}),
        )
    )
    assert "<acme>" in seen
    assert "<rival>" not in seen


def test_every_tool_is_named_once_with_a_closed_schema() -> None:
    assert list(TOOLS) == list(NAMES) == ["expand", "search_history", "remember", "compact"]
    for tool in TOOLS.values():
        assert json.loads(json.dumps(tool.parameters))["additionalProperties"] is False
        assert tool.description


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("expand", {"handle": "m" + "9" * 5000}),
        ("expand", {"handle": "m1-" + "9" * 5000}),
        ("expand", {"handle": "m1-²"}),
        ("expand", "[" * 100_000),
        ("expand", '{"handle":' * 100_000),
        ("expand", {"x" * 100_000: 1}),
        ("search_history", {"query": "zzyzx" * 20_000}),
        ("compact", {"focus": "zzyzx" * 20_000}),
        ("z" * 100_000, {}),
    ],
)
def test_whatever_is_asked_the_answer_is_short(
    tools: AgentTools, name: str, arguments: dict[str, Any] | str
) -> None:
    assert len(tools.run(name, arguments)) < 600
