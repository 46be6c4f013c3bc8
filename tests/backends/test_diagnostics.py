"""A provider's verdict on its cache: asked for, joined to the ledger, off where nobody asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import contextkit
from contextkit import ContextManager, Ledger, Thread
from contextkit.errors import ConfigError
from tests.fakes.provider import FakeProvider

LONG = "gate flight window seat refund delay " * 60


def _anthropic(provider: FakeProvider) -> dict[str, Any]:
    at = {"base_url": provider.origin, "api_key": "sk-ant-key", "max_retries": 0}
    return {"kind": "anthropic", "model": "claude-sonnet-5", **at}


def _responses(provider: FakeProvider) -> dict[str, Any]:
    at = {"base_url": provider.openai_url, "api_key": "sk-key", "max_retries": 0}
    return {"kind": "openai", "api": "responses", "model": "gpt-5.6", "window": 100_000, **at}


BACKENDS: dict[str, Callable[[FakeProvider], dict[str, Any]]] = {
    "anthropic": _anthropic,
    "responses": _responses,
}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, provider: FakeProvider) -> dict[str, Any]:
    return BACKENDS[request.param](provider)


@pytest.fixture
def manager(backend: dict[str, Any]) -> Iterator[ContextManager]:
    with _load(backend, diagnostics=True) as made:
        yield made


def _load(backend: dict[str, Any], **fields: Any) -> ContextManager:
    return contextkit.load(
        {
            "backend": {**backend, **fields},
            "budget": {"window": 2000, "reply_reserve": 100},
            "policies": [
                {"kind": "sliding_window", "low_water": 0.3, "high_water": 0.9},
                "cacheable_prefix",
            ],
        }
    )


def _say(thread: Thread, text: str, streamed: bool) -> None:
    if streamed:
        list(thread.stream(text))
    else:
        thread.respond(text)


def _moved(ledgers: list[Ledger]) -> list[bool]:
    return [ledger.prefix.moved for ledger in ledgers]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_edit_that_moved_the_prefix_is_what_the_provider_names(
    manager: ContextManager, provider: FakeProvider, streamed: bool
) -> None:
    thread = manager.thread("long")
    for turn in range(6):
        _say(thread, f"question {turn}: {LONG}", streamed)
    ledgers = thread.turns()
    assert any(_moved(ledgers))
    for ledger in ledgers[1:]:
        missed = ledger.verdict is not None and ledger.verdict.is_miss
        assert missed == ledger.prefix.moved
        if missed:
            assert ledger.verdict is not None
            assert ledger.verdict.layer == "messages"
            assert ledger.verdict.missed_tokens
    assert not provider.refused


def test_each_request_names_the_answer_before_it_in_its_own_thread(
    manager: ContextManager, provider: FakeProvider
) -> None:
    for name in ("one", "two", "one", "two"):
        manager.thread(name).respond("Which gate?")
    named = [_named(seen.body) for seen in provider.seen]
    assert named[:2] == [None, None]
    assert None not in named[2:]
    assert named[2] != named[3]


def test_nothing_is_asked_for_by_default(backend: dict[str, Any], provider: FakeProvider) -> None:
    with _load(backend) as manager:
        for _ in range(2):
            manager.thread("quiet").respond("Which gate?")
        assert [turn.verdict for turn in manager.thread("quiet").turns()] == [None, None]
    for seen in provider.seen:
        assert not {"diagnostics", "prompt_cache_options"} & seen.body.keys()


def test_chat_completions_have_no_diagnostics(provider: FakeProvider) -> None:
    chat = {**_responses(provider), "api": "chat"}
    with pytest.raises(ConfigError, match=r"diagnostics: only the Responses API.*api: responses"):
        _load(chat, diagnostics=True)


def _named(body: dict[str, Any]) -> str | None:
    if "diagnostics" in body:
        named: str | None = body["diagnostics"]["previous_message_id"]
        return named
    options: dict[str, str] = body.get("prompt_cache_options") or {}
    return options.get("comparison_response_id")
