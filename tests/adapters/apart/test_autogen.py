"""Agents of AutoGen against a strict local provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, question
from tests.adapters.scenario import MODEL, QUICK, SLOW, SYSTEM, check, made, questions, ready
from tests.adapters.test_examples import run_block
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

core: Any = pytest.importorskip("autogen_core")
agents: Any = pytest.importorskip("autogen_agentchat.agents")
openai: Any = pytest.importorskip("autogen_ext.models.openai")
models: Any = pytest.importorskip("autogen_core.models")

from contextkit.adapters.autogen import ContextClient, ContextHistory  # noqa: E402


def run(
    provider: FakeProvider,
    manager: ContextManager,
    work: Callable[[Any], Coroutine[Any, Any, None]],
    streamed: bool = False,
    **more: Any,
) -> None:
    options = {"stream_options": {"include_usage": True}} if streamed else {}

    async def opened() -> None:
        client = openai.OpenAIChatCompletionClient(
            model=MODEL,
            base_url=provider.openai_url,
            api_key="k",
            max_retries=0,
            max_tokens=RESERVE,
            include_name_in_message=False,
            **options,
        )
        managed = ContextClient(client, manager, **more)
        try:
            await work(managed)
        finally:
            await managed.close()

    asyncio.run(opened())


def agent_of(client: Any, history: Any, **more: Any) -> Any:
    return agents.AssistantAgent(
        "researcher",
        client,
        tools=[scenario.look_up, scenario.weigh],
        model_context=history,
        system_message=SYSTEM,
        reflect_on_tool_use=True,
        **more,
    )


@pytest.mark.parametrize("n_turns", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_with_tools(
    provider: FakeProvider, manager: ContextManager, n_turns: int, streamed: bool
) -> None:
    ready(provider)
    history = ContextHistory(manager, "s", tenant="sessions")

    async def go(client: Any) -> None:
        agent = agent_of(client, history, model_client_stream=streamed)
        for asked in questions(n_turns):
            result = await agent.run(task=asked)
            assert "all is well" in result.messages[-1].to_text()

    run(provider, manager, go, streamed)
    check(provider, manager, n_turns)
    assert len(history.thread) == 4 * n_turns


def test_errors_record_nothing_and_what_is_too_long_is_made_smaller(
    provider: FakeProvider, manager: ContextManager
) -> None:
    async def go(client: Any) -> None:
        said = [models.UserMessage(content="Hello?", source="user")]
        provider.failures = [Failure(500)]
        with pytest.raises(Exception, match="scripted failure"):
            await client.create(said)
        assert len(manager.thread("t")) == 0
        with pytest.raises(BudgetExceeded):
            await client.create([models.UserMessage(content="word " * 5000, source="user")])
        for number in range(12):
            said.append(models.AssistantMessage(content="Well. " * 60, source="a"))
            said.append(models.UserMessage(content=question(number), source="user"))
        provider.window = 1400
        await client.create(said)
        assert client.actual_usage().prompt_tokens == provider.seen[-1].usage["prompt_tokens"]
        assert client.model_info["family"] == "gpt-4o"

    run(provider, manager, go, thread="t")
    assert [seen.status for seen in provider.seen] == [500, 400, 200]
    assert len(manager.thread("t").turns()) == 1


def test_images_and_thoughts(provider: FakeProvider, manager: ContextManager) -> None:
    from PIL import Image

    image = core.Image(Image.new("RGB", (2, 2)))
    provider.respond = lambda _: Answer("Let me see.", (("look_up", {"topic": "a"}),))
    history = ContextHistory(manager, "s", tenant="sessions")

    async def go(client: Any) -> None:
        await history.add_message(models.UserMessage(content=["What is it?", image], source="user"))
        result = await client.create(await history.get_messages())
        await history.add_message(
            models.AssistantMessage(content=result.content, thought=result.thought, source="a")
        )
        provider.respond = lambda _: Answer("A picture.")
        await history.add_message(
            models.FunctionExecutionResultMessage(
                content=[
                    models.FunctionExecutionResult(
                        content="found",
                        name="look_up",
                        call_id=result.content[0].id,
                        is_error=False,
                    )
                ]
            )
        )
        await client.create(await history.get_messages())

    run(provider, manager, go)
    assert not provider.refused
    sent = json.dumps(provider.seen[-1].body["messages"])
    assert "data:image/png;base64," in sent
    assert "Let me see." in sent
    assert len(manager.threads()) == 1


def test_a_history_lasts_and_begins_anew(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}
    said = [
        models.SystemMessage(content="Be brief."),
        models.UserMessage(content="Hello", source="user"),
        models.AssistantMessage(content="Hi", thought="A greeting.", source="a"),
    ]

    async def write() -> Any:
        with made(history=history) as manager:
            context = ContextHistory(manager, "s")
            for message in said:
                await context.add_message(message)
            return await context.save_state()

    async def read(state: Any) -> None:
        with made(history=history) as manager:
            context = ContextHistory(manager, "s")
            assert await context.get_messages() == said
            await context.clear()
            assert await context.get_messages() == []
            await context.load_state(state)
            assert await ContextHistory(manager, "s").get_messages() == said
            assert manager.verify() == []

    asyncio.run(read(asyncio.run(write())))


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("AutoGen", provider, monkeypatch, tmp_path)
