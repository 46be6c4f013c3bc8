"""Agents of Strands against a strict local provider."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, WINDOW, manager_of, question
from tests.adapters.scenario import (
    MODEL,
    QUICK,
    SLOW,
    SYSTEM,
    check,
    check_cached,
    questions,
    ready,
)
from tests.adapters.test_examples import run_block
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

strands: Any = pytest.importorskip("strands")
openai: Any = pytest.importorskip("strands.models.openai")
anthropic: Any = pytest.importorskip("strands.models.anthropic")

from contextkit.adapters._strands_forms import message_of, theirs_of  # noqa: E402
from contextkit.adapters.strands import ContextConversationManager  # noqa: E402


class Verdict(BaseModel):
    """A structured answer."""

    gate: int


def agent_of(provider: FakeProvider, manager: ContextManager, **more: Any) -> Any:
    model = openai.OpenAIModel(
        client_args={"base_url": provider.openai_url, "api_key": "k", "max_retries": 0},
        model_id=MODEL,
        params={"max_completion_tokens": RESERVE},
    )
    return strands.Agent(
        model,
        tools=[strands.tool(scenario.look_up), strands.tool(scenario.weigh)],
        system_prompt=SYSTEM,
        conversation_manager=ContextConversationManager(manager, **more),
        callback_handler=None,
        retry_strategy=None,
    )


@pytest.mark.parametrize("n_turns", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_an_agent_with_tools(provider: FakeProvider, manager: ContextManager, n_turns: int) -> None:
    ready(provider)
    agent = agent_of(provider, manager)
    for asked in questions(n_turns):
        assert "all is well" in str(agent(asked))
    check(provider, manager, n_turns)
    assert len(agent.messages) == 4 * n_turns


def test_async_and_streaming(provider: FakeProvider, manager: ContextManager) -> None:
    ready(provider)

    async def go() -> None:
        agent = agent_of(provider, manager)
        for number in range(8):
            if number % 2:
                await agent.invoke_async(question(number))
                continue
            told = [event async for event in agent.stream_async(question(number))]
            assert "all is well" in "".join(event.get("data", "") for event in told)

    asyncio.run(go())
    check(provider, manager, 8)


def test_errors_record_nothing_and_what_is_too_long_is_made_smaller(
    provider: FakeProvider, manager: ContextManager
) -> None:
    agent = agent_of(provider, manager, thread="t")
    provider.failures = [Failure(500)]
    with pytest.raises(Exception, match="scripted failure"):
        agent("Hello?")
    assert len(manager.thread("t")) == 0
    with pytest.raises(BudgetExceeded):
        agent("word " * 5000)
    del agent.messages[:]
    provider.respond = lambda _: Answer("Well. " * 60)
    for number in range(8):
        agent(question(number))
    provider.window = 1200
    agent("And now?")
    assert [seen.status for seen in provider.seen[-2:]] == [400, 200]
    assert len(manager.thread("t").turns()) == 9


def test_images_and_structured_output(provider: FakeProvider, manager: ContextManager) -> None:
    png = base64.b64decode("iVBORw0KGgo=")
    image = {"image": {"format": "png", "source": {"bytes": png}}}

    def respond(body: dict[str, Any]) -> Answer:
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        return Answer("", (("Verdict", {"gate": 12}),)) if "Verdict" in names else Answer("Twelve.")

    provider.respond = respond
    agent = agent_of(provider, manager)
    agent([{"text": "Which gate is in the picture?"}, image])
    result = agent("As a number, please", structured_output_model=Verdict)
    assert result.structured_output == Verdict(gate=12)
    assert not provider.refused
    assert "iVBORw0KGgo=" in str(provider.seen[-1].body["messages"])
    assert len(manager.threads()) == 1


BLOCKS: list[dict[str, Any]] = [
    {"text": "words"},
    {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": [1, None]}}},
    {"toolResult": {"toolUseId": "c1", "status": "error", "content": [{"text": "no"}]}},
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sealed"}}},
    {"reasoningContent": {"redactedContent": b"\x00sealed"}},
    {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
    {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF"}}},
    {"cachePoint": {"type": "default"}},
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: next(iter(block)))
def test_blocks_go_there_and_back(block: dict[str, Any]) -> None:
    message = {"role": "user", "content": [block]}
    assert theirs_of(message_of(message)) == message
    assert message_of(message).canonical


CLAUDE = "claude-sonnet-5"
LONG_SYSTEM = "You are a careful researcher. " * 30


def claude_of(provider: FakeProvider, manager: ContextManager, **more: Any) -> Any:
    """An agent on Claude, through Strands' own model to a provider that caches."""
    ready(provider)
    model = anthropic.AnthropicModel(
        client_args={"base_url": provider.origin, "api_key": "k", "max_retries": 0},
        model_id=CLAUDE,
        max_tokens=RESERVE,
    )
    return strands.Agent(
        model,
        tools=[strands.tool(scenario.look_up), strands.tool(scenario.weigh)],
        conversation_manager=ContextConversationManager(manager),
        callback_handler=None,
        retry_strategy=None,
        **{"system_prompt": LONG_SYSTEM, **more},
    )


def test_what_was_sent_before_is_read_from_the_cache(provider: FakeProvider) -> None:
    with manager_of({"kind": "anthropic", "model": CLAUDE, "api_key": "k"}) as manager:
        agent = claude_of(provider, manager)

        async def go() -> None:
            for asked in questions(12):
                await agent.invoke_async(asked)

        asyncio.run(go())
        check_cached(provider, manager)
        assert provider.window == WINDOW
        assert "cachePoint" not in str(agent.messages)


def test_marks_of_the_users_own_are_left_to_him(provider: FakeProvider) -> None:
    own = [{"text": LONG_SYSTEM}, {"cachePoint": {"type": "default"}}]
    with manager_of({"kind": "anthropic", "model": CLAUDE, "api_key": "k"}) as manager:
        claude_of(provider, manager, system_prompt=own)(question(1))
    assert [str(seen.body).count("cache_control") for seen in provider.seen] == [1, 1]


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("Strands Agents", provider, monkeypatch, tmp_path)
