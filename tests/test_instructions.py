"""Instructions that change as a conversation goes on: the call opens with what holds now."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit import ContextManager
from contextkit.adapters._framework import Bridge, units_of
from contextkit.backend import Reply
from contextkit.dialects import parse_message
from contextkit.errors import InvalidMessage
from contextkit.server.endpoints import CHAT_API, MESSAGES_API, RESPONSES_API
from contextkit.server.turns import Turns
from contextkit.validity import problems

STACK = ["tool_results", "sliding_window", "cacheable_prefix"]


def made(**others: Any) -> ContextManager:
    settings: dict[str, Any] = {
        "budget": {"window": 600, "reply_reserve": 50},
        "policies": STACK,
    }
    return ContextManager(**(settings | others))


def test_they_hold_from_the_call_on_and_across_processes(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}
    with made(history=history) as manager:
        thread = manager.thread("t")
        thread.record(thread.assemble("One?", system="It is Monday."), Reply.of("1"))
        thread.record(thread.assemble("Two?", system="It is Tuesday."), Reply.of("2"))
    with made(history=history) as manager:
        thread = manager.thread("t")
        call = thread.assemble("Three?")
        assert [m.text for m in call.messages] == [
            "It is Tuesday.", "One?", "1", "Two?", "2", "Three?",
        ]  # fmt: skip
        assert not call.ledger.prefix.moved
        again = thread.assemble("Three?", system="It is Monday.")
        assert again.messages[0].text == "It is Monday."
        assert again.ledger.prefix.moved
        assert again.ledger.prefix.policy == "instructions"
        assert thread.expand("m0").text == "It is Monday."
        assert manager.verify() == []


def test_a_log_without_instructions_gets_some() -> None:
    with made() as manager:
        thread = manager.thread("t")
        thread.record(thread.assemble("One?"), Reply.of("1"))
        for system, moved in (("A", True), ("A", False), ("B", True)):
            call = thread.assemble("More?", system=system)
            assert [m.text for m in call.messages if m.role == "system"] == [system]
            assert call.messages[0].role == "system"
            assert call.ledger.prefix.moved is moved
            thread.record(call, Reply.of("yes"))


def test_what_changes_with_every_call_is_not_written_to_the_cache() -> None:
    claude = {"kind": "anthropic", "model": "claude-sonnet-5", "api_key": "k"}
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    with made(backend=claude, budget={"window": 4_000, "reply_reserve": 50}) as manager:
        thread = manager.thread("t")
        points: list[list[int]] = []
        for day in ("Monday", "Tuesday", "Wednesday", "Wednesday", "Wednesday"):
            call = thread.assemble("And now?", tools=[tool], system=f"It is {day}.")
            points.append([point.after for point in call.cache_points])
            thread.record(call, Reply.of("fine"))
        assert points[2] == [0]
        assert all(len(found) > 1 for found in (*points[:2], *points[3:]))


def test_only_a_system_gives_instructions() -> None:
    with made() as manager, pytest.raises(InvalidMessage, match=r"^system\.0\.role: 'user'"):
        manager.thread("t").assemble("One?", system=[{"role": "user", "content": "Be kind."}])


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["Monday", "Tuesday", "long " * 60]), min_size=1, max_size=12))
def test_a_framework_that_changes_them_stays_in_one_thread(days: list[str]) -> None:
    said: list[dict[str, str]] = []
    with made() as manager:
        bridge: Bridge = Bridge(manager)
        for number, day in enumerate(days):
            said.append({"role": "user", "content": f"Question {number}? {'word ' * 20}"})
            request = [{"role": "system", "content": f"It is {day}."}, *said]
            assembled = bridge.begin(units_of(request, lambda d: [parse_message(d)]))
            shown = assembled.show(lambda message: pytest.fail(f"made anew: {message}"))
            assert shown[0] is request[0]
            assert shown[-1] is request[-1]
            assert problems(assembled.call.messages) == []
            reply = f"Answer {number}."
            bridge.finish(assembled, partial(Reply.of, reply))
            said.append({"role": "assistant", "content": reply})
        assert len(manager.threads("default")) == 1
        assert len(manager.thread(manager.threads("default")[0].name)) == 1 + len(said)
        assert manager.verify() == []


def test_agents_with_one_first_request_stay_apart() -> None:
    with made() as manager:
        bridge: Bridge = Bridge(manager)
        for day in ("Monday", "Tuesday"):
            for agent in ("planner", "writer"):
                said = [
                    {"role": "system", "content": f"You are the {agent}; it is {day}."},
                    {"role": "user", "content": "The same task."},
                ]
                if day == "Tuesday":
                    said += [
                        {"role": "assistant", "content": f"Done by the {agent}."},
                        {"role": "user", "content": "Go on."},
                    ]
                assembled = bridge.begin(units_of(said, lambda d: [parse_message(d)]))
                answer = f"Done by the {agent}." if day == "Monday" else "Gone on."
                bridge.finish(assembled, partial(Reply.of, answer))
        assert sorted(len(manager.thread(t.name)) for t in manager.threads("default")) == [5, 5]


def _body(api: str, day: str, said: list[dict[str, str]]) -> bytes:
    if api == "chat":
        fields: dict[str, Any] = {"messages": [{"role": "system", "content": day}, *said]}
    elif api == "responses":
        fields = {"instructions": day, "input": said}
    else:
        fields = {"system": day, "messages": said, "max_tokens": 50}
    return json.dumps({"model": "m", **fields}).encode()


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_the_proxy_sends_the_clients_own_bytes(api: str) -> None:
    endpoint = {"chat": CHAT_API, "responses": RESPONSES_API, "messages": MESSAGES_API}[api]
    said: list[dict[str, str]] = []
    with made(
        policies=["sliding_window"], budget={"window": 8_000, "reply_reserve": 50}
    ) as manager:
        turns = Turns(manager, 1 << 20)
        for number, day in enumerate(["Monday", "Monday", "Tuesday", "Wednesday", "Wednesday"]):
            said.append({"role": "user", "content": f"Question {number}?"})
            raw = _body(api, f"It is {day}.", said)
            started = turns.begin(endpoint, "t", None, raw)
            assert started.sent == raw
            turns.finish(started, partial(Reply.of, f"Answer {number}."))
            turns.remember(started)
            said.append({"role": "assistant", "content": f"Answer {number}."})
        assert len(manager.threads("t")) == 1
