"""Loops that send the call themselves: what `record` takes, without blocking, and what a REPL shows."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anthropic import Anthropic
from openai import OpenAI

import contextkit
from contextkit.errors import InvalidMessage
from contextkit.manager import ContextManager
from tests.fakes.provider import FakeProvider


def made() -> ContextManager:
    return contextkit.load({"budget": {"window": 2_000, "reply_reserve": 100}})


def _chat(provider: FakeProvider, call: contextkit.Call) -> list[Any]:
    with OpenAI(base_url=provider.openai_url, api_key="k") as client:
        create: Any = client.chat.completions.create
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return list(create(model="gpt-4.1", **options, **call.to_openai()))


def _responses(provider: FakeProvider, call: contextkit.Call) -> list[Any]:
    with OpenAI(base_url=provider.openai_url, api_key="k") as client:
        create: Any = client.responses.create
        return list(create(model="gpt-4.1", stream=True, **call.to_responses()))


def _messages(provider: FakeProvider, call: contextkit.Call) -> list[Any]:
    with Anthropic(base_url=provider.origin, api_key="k") as client:
        create: Any = client.messages.create
        asked = {"model": "claude-sonnet-5", "max_tokens": call.max_output_tokens}
        return list(create(stream=True, **asked, **call.to_anthropic()))


@pytest.mark.parametrize("ask", [_chat, _responses, _messages])
def test_the_events_of_a_stream(provider: FakeProvider, ask: Any) -> None:
    with made() as manager:
        thread = manager.thread("t")
        call = thread.assemble("Which gate?")
        events = ask(provider, call)
        with pytest.raises(InvalidMessage, match="read to its end"):
            thread.record(call, events[:1])
        ledger = thread.record(call, events)
        assert thread.history()[-1].text
        assert ledger.usage is not None
        seen = provider.seen[-1].usage
        assert ledger.usage.input_tokens == seen.get("prompt_tokens", seen.get("input_tokens"))


def test_a_text() -> None:
    with made() as manager:
        thread = manager.thread("t")
        thread.record(thread.assemble("Which gate?"), "Twelve.")
        assert [(m.role, m.text) for m in thread.history()] == [
            ("user", "Which gate?"),
            ("assistant", "Twelve."),
        ]


def test_an_event_loop_is_not_blocked() -> None:
    async def loop() -> None:
        with made() as manager:
            thread = manager.thread("t")
            assert await thread.aappend({"role": "user", "content": "Hello."}) == ("m0",)
            call = await thread.aassemble(system="Be brief.")
            assert call.messages[0].text == "Be brief."
            assert (await thread.arecord(call, "Hello.")).turn == 1
            assert (await thread.aexpand("m0")).text == "Hello."

    anyio.run(loop)


def test_what_a_repl_shows_is_short() -> None:
    with made() as manager:
        thread = manager.thread("t")
        call = thread.assemble("long " * 300)
        ledger = thread.record(call, "word " * 1_000)
        for shown in (manager, thread, call, ledger):
            assert len(repr(shown)) < 120
        assert repr(ledger).startswith("Ledger('t', turn 1, ")
        assert repr(call).startswith("Call(1 messages, ")


@pytest.mark.parametrize("more_by", [1, 10, 30])
def test_a_refused_call_is_made_smaller_by_what_was_counted_more_and_hardly_more(
    more_by: int,
) -> None:
    exact = {"kind": "echo", "tokenizer": "o200k_base"}
    budget = {"window": 2_000, "reply_reserve": 100}
    source = {"backend": exact, "budget": budget, "policies": ["sliding_window"]}
    with contextkit.load(source) as manager:
        thread = manager.thread("t")
        for number in range(3):
            thread.append({"role": "user", "content": f"fact {number} " + "word " * 22})
        call = thread.assemble("why " * 1_785)
        assert call.input_tokens > 1_840
        refusal = contextkit.ContextOverflow("too long", actual_tokens=1_900 + more_by)
        again = thread.corrected(call, refusal, "why " * 1_785)
        assert again.input_tokens * (1_900 + more_by) / call.input_tokens <= 1_900
