"""Agents that use the tools: what they fetch is sent, what they let go leaves, every request is valid."""

from __future__ import annotations

import json
from typing import Any

import pytest

import contextkit
from contextkit import Thread
from contextkit.agent_tools import AgentTools
from contextkit.validity import wire_problems

from .conftest import POLICIES, say


def asks(*calls: tuple[str, dict[str, Any]], form: str = "openai", n: int = 0) -> dict[str, Any]:
    """An assistant's message with these calls."""
    if form == "anthropic":
        blocks = [
            {"type": "tool_use", "id": f"t{n}_{i}", "name": name, "input": arguments}
            for i, (name, arguments) in enumerate(calls)
        ]
        return {"role": "assistant", "content": blocks}
    listed = [
        {"id": f"t{n}_{i}", "type": "function",
         "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, (name, arguments) in enumerate(calls)
    ]  # fmt: skip
    return {"role": "assistant", "content": None, "tool_calls": listed}


def exchange(thread: Thread, tools: AgentTools, reply: dict[str, Any], text: str | None) -> str:
    """One call answered by `reply`, its tool calls run; what the next call shows."""
    call = thread.assemble(text, tools=tools.tools)
    thread.record(call, reply)
    thread.append(tools.answer(reply))
    return thread.assemble(tools=tools.tools).to_text()


def test_a_fetched_passage_is_in_the_next_call(thread: Thread) -> None:
    tools = AgentTools(thread)
    before = thread.assemble(tools=tools.tools).to_text()
    assert "bay 15." not in before
    reply = asks(("search_history", {"query": "shipment 5"}), ("expand", {"handle": "m11"}))
    after = exchange(thread, tools, reply, None)
    assert after.count("bay 15.") == 2


def test_calls_of_the_agents_own_tools_are_left_to_it(thread: Thread) -> None:
    tools = AgentTools(thread, only=["expand"])
    reply = asks(("book_flight", {"to": "Oslo"}), ("expand", {"handle": "m1"}))
    results = tools.answer(reply)
    assert [r.tool_results[0].call_id for r in results] == ["t0_1"]
    wrong = tools.answer(asks(("expand", {"handle": "m9999"})))
    assert wrong[0].tool_results[0].is_error
    assert tools.answer({"role": "assistant", "content": "no calls"}) == []


def test_compact_drops_what_does_not_bear_on_the_focus() -> None:
    with contextkit.load({"policies": POLICIES}) as cm:
        thread = cm.thread("trip")
        for topic in ("hotel in Lisbon", "refund of the ticket", "weather in Oslo") * 3:
            call = thread.assemble(f"Tell me about the {topic}.")
            thread.record(call, {"role": "assistant", "content": f"All about the {topic}."})
        tools = AgentTools(thread)
        reply = asks(("compact", {"focus": "the refund"}))
        shown = exchange(thread, tools, reply, "Now only the ticket counts.")
        assert "refund" in shown
        assert "All about the weather" not in shown
        assert "Tell me about the hotel in Lisbon." in shown, "the first request stays"
        assert "All about the hotel" not in shown
        call = thread.assemble(tools=tools.tools)
        policies = {d.policy for d in call.ledger.decisions if d.action == "drop"}
        assert policies == {"compact_on_request"}
        assert "the refund" in next(d.why for d in call.ledger.decisions if d.action == "drop")
        assert call.ledger.prefix.policy == "compact_on_request"
        thread.record(call, {"role": "assistant", "content": "Done."})
        later = thread.assemble("And then?", tools=tools.tools)
        assert "weather" not in later.to_text()
        assert not later.ledger.prefix.moved
        dropped = next(d for d in later.ledger.decisions if d.action == "drop")
        assert thread.expand(dropped.handle).text
        assert len(thread.history()) == 22
        assert not cm.verify()


def test_compact_without_a_focus_keeps_the_request_and_whole_batches() -> None:
    with contextkit.load({"policies": POLICIES}) as cm:
        thread = cm.thread("t")
        tools = AgentTools(thread)
        for n in range(5):
            thread.append(f"question {n}")
            reply = asks(("remember", {"text": f"fact {n}"}), n=n)
            exchange(thread, tools, reply, None)
            thread.append({"role": "assistant", "content": f"answer {n}"})
        call = thread.assemble("current question", tools=tools.tools)
        thread.record(call, asks(("compact", {}), n=9))
        thread.append(tools.answer(asks(("compact", {}), n=9)))
        call = thread.assemble(tools=tools.tools)
        shown = call.to_openai()["messages"]
        assert [m["role"] for m in shown] == ["user", "user", "assistant", "tool"]
        assert shown[0]["content"] == "question 0"
        assert shown[1]["content"] == "current question"
        assert not wire_problems({"messages": shown}, "openai")


def test_a_pinned_message_stays_when_the_model_compacts() -> None:
    pin = {"kind": "pin", "contains": ["PIN-ME"]}
    with contextkit.load({"policies": ["compact_on_request", pin, "sliding_window"]}) as cm:
        thread = cm.thread("t")
        thread.append("first")
        for text in ("PIN-ME the code is 7", "other"):
            thread.record(thread.assemble(text), {"role": "assistant", "content": "yes"})
        shown = exchange(thread, AgentTools(thread), asks(("compact", {"focus": "x"})), "now?")
        assert "PIN-ME the code is 7" in shown
        assert "other" not in shown


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"focus": 3}', '{"focus": null}'])
def test_a_compact_call_written_badly_breaks_no_later_call(arguments: str) -> None:
    with contextkit.load({"policies": POLICIES}) as cm:
        thread = cm.thread("t")
        tools = AgentTools(thread)
        say(thread, "one", "two", "three")
        call = {"id": "c", "type": "function",
                "function": {"name": "compact", "arguments": arguments}}  # fmt: skip
        reply = {"role": "assistant", "content": None, "tool_calls": [call]}
        assert "three" in exchange(thread, tools, reply, None)


@pytest.mark.parametrize("form", ["openai", "anthropic"])
def test_an_agent_with_the_tools_stays_valid_under_a_tight_window(form: str) -> None:
    echo = {"kind": "echo", "dialect": form}
    budget = {"window": 1600, "reply_reserve": 200}
    with contextkit.load({"backend": echo, "budget": budget, "policies": POLICIES}) as cm:
        thread = cm.thread("agent")
        tools = AgentTools(thread)
        found = 0
        for n in range(26):
            text: str | None = f"Question {n}: what is the code of box {n // 2}? " + "Please. " * 10
            plans: list[Any] = [
                [("search_history", {"query": f"code of box {n // 2}"}), ("expand", {"handle": f"m{n}"})],
                [("remember", {"text": f"The code of box {n} is {n * 37}."})],
            ]  # fmt: skip
            if n % 9 == 8:
                plans.append([("compact", {"focus": f"box {n // 2}"})])
            for step, plan in enumerate(plans):
                call = thread.assemble(text, tools=tools.tools)
                request = call.to_openai() if form == "openai" else call.to_anthropic()
                kept = ("messages", "system", "tools")
                body: dict[str, Any] = {k: request[k] for k in kept if k in request}
                assert not wire_problems(body, form)
                assert f"Question {n}:" in call.to_text()
                reply = asks(*plan, form=form, n=10 * n + step)
                thread.record(call, reply)
                thread.append(tools.answer(reply))
                text = None
            call = thread.assemble(tools=tools.tools)
            found += f"The code of box {n // 2} is {n // 2 * 37}." in call.to_text()
            thread.record(call, {"role": "assistant", "content": f"It is {n // 2 * 37}."})
        assert found >= 23
        assert not cm.verify()
