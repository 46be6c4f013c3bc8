"""A provider that finds the call too long: made smaller once by its own count, then a clear error."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, BadRequestError, OpenAI

import contextkit
from contextkit.adapters import anthropic as for_anthropic
from contextkit.adapters import openai as for_openai
from tests.fakes.provider import FakeProvider

HISTORY: list[Any] = [
    message
    for i in range(30)
    for message in (
        {"role": "user", "content": f"Tell me about place {i}, please."},
        {"role": "assistant", "content": "It lies by the sea and has a harbour. " * 6},
    )
]
ASKED: list[Any] = [*HISTORY, {"role": "user", "content": "Which gate?"}]


@pytest.fixture
def manager() -> contextkit.ContextManager:
    """Counts on a window far larger than the provider's."""
    return contextkit.load(
        {
            "backend": {"kind": "echo", "model": "gpt-4o", "provider": "openai"},
            "budget": {"window": 16_000, "reply_reserve": 200},
            "policies": ["sliding_window"],
        }
    )


def check(provider: FakeProvider, manager: contextkit.ContextManager) -> None:
    first, second = provider.seen
    assert first.status == 400
    assert second.status == 200
    assert len(second.body["messages"]) < len(first.body["messages"])
    assert second.body["messages"][-1]["content"] == "Which gate?"
    (record,) = manager.threads()
    assert len(manager.thread(record.name)) == len(ASKED) + 1
    assert manager.verify() == []


def test_openai_once(provider: FakeProvider, manager: contextkit.ContextManager) -> None:
    provider.window = 2_100
    with OpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as raw:
        client = for_openai.wrap(raw, manager)
        client.chat.completions.create(model="gpt-4o", messages=ASKED, max_completion_tokens=200)
    check(provider, manager)


def test_openai_async(provider: FakeProvider, manager: contextkit.ContextManager) -> None:
    provider.window = 2_100

    async def ask() -> None:
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as raw:
            client = for_openai.wrap(raw, manager)
            await client.chat.completions.create(
                model="gpt-4o", messages=ASKED, max_completion_tokens=200
            )

    anyio.run(ask)
    check(provider, manager)


def test_anthropic_once(provider: FakeProvider, manager: contextkit.ContextManager) -> None:
    provider.window = 2_100
    with Anthropic(base_url=provider.origin, api_key="k", max_retries=0) as raw:
        client = for_anthropic.wrap(raw, manager)
        client.messages.create(model="claude-sonnet-5", messages=ASKED, max_tokens=200)
    check(provider, manager)


def test_twice_is_an_error(provider: FakeProvider, manager: contextkit.ContextManager) -> None:
    provider.window = 240
    with OpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as raw:
        client = for_openai.wrap(raw, manager)
        with pytest.raises(BadRequestError, match="maximum context length"):
            client.chat.completions.create(
                model="gpt-4o", messages=ASKED, max_completion_tokens=200
            )
    assert len(provider.seen) == 2
    assert all(len(manager.thread(record.name)) == 0 for record in manager.threads())
