"""Agents of the OpenAI Agents SDK against a strict local provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import APIError, AsyncOpenAI
from pydantic import BaseModel

from contextkit.adapters.openai_agents import ContextHooks, ContextSession
from contextkit.errors import BudgetExceeded, ConfigError
from contextkit.manager import ContextManager
from contextkit.messages import ReasoningPart
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, WINDOW, question
from tests.adapters.scenario import QUICK, SLOW, made, questions, ready
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

Kind = Callable[..., Any]


class Verdict(BaseModel):
    """A structured answer."""

    gate: int


@pytest.fixture(autouse=True)
def _no_tracing() -> None:
    set_tracing_disabled(True)


def agent_of(client: AsyncOpenAI, kind: Kind = OpenAIChatCompletionsModel, **more: Any) -> Any:
    settings = ModelSettings(max_tokens=RESERVE, include_usage=True, store=None)
    return Agent(
        name="researcher",
        instructions=scenario.SYSTEM,
        model=kind(model=scenario.MODEL, openai_client=client),
        model_settings=more.pop("model_settings", settings),
        tools=[function_tool(scenario.look_up), function_tool(scenario.weigh)],
        **more,
    )


def run(provider: FakeProvider, work: Callable[[AsyncOpenAI], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as client:
            await work(client)

    asyncio.run(opened())


async def ask(
    agent: Any, hooks: ContextHooks, session: ContextSession, text: Any, streamed: bool = False
) -> Any:
    """One run: the final output."""
    given: Any = {"session": session, "hooks": hooks, "run_config": hooks.config()}
    if not streamed:
        return (await Runner.run(agent, text, **given)).final_output
    result = Runner.run_streamed(agent, text, **given)
    async for _ in result.stream_events():
        pass
    return result.final_output


@pytest.mark.parametrize(
    ("n_turns", "streamed"),
    [
        (QUICK, False),
        (8, True),
        pytest.param(SLOW, False, marks=pytest.mark.slow),
        pytest.param(SLOW, True, marks=pytest.mark.slow),
    ],
)
def test_an_agent_with_tools(
    provider: FakeProvider, manager: ContextManager, n_turns: int, streamed: bool
) -> None:
    ready(provider)
    hooks = ContextHooks(manager, tenant="calls")
    session = ContextSession(manager, "s")

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client)
        for asked in questions(n_turns):
            assert "all is well" in await ask(agent, hooks, session, asked, streamed)

    run(provider, go)
    check(provider, manager, n_turns)
    assert len(session.thread) > 4 * n_turns


def check(provider: FakeProvider, manager: ContextManager, n_turns: int) -> None:
    """What the provider saw is what was recorded, call by call."""
    assert not provider.refused
    (record,) = manager.threads("calls")
    turns = manager.thread(record.name, tenant="calls").turns()
    assert len(turns) == len(provider.seen) == 2 * n_turns
    for index, (seen, turn) in enumerate(zip(provider.seen, turns, strict=True)):
        assert question(index // 2).strip() in json.dumps(seen.body["messages"])
        used = seen.usage
        told = used["prompt_tokens"]
        assert turn.usage is not None
        assert turn.usage.input_tokens == told <= WINDOW - RESERVE
    scenario.check_prefix(provider.seen, turns)
    if n_turns >= QUICK:
        assert any(list(turn.left_out) for turn in turns)
    assert manager.verify() == []


@pytest.mark.parametrize(
    ("n_turns", "streamed"),
    [
        (QUICK, False),
        (8, True),
        pytest.param(SLOW, False, marks=pytest.mark.slow),
        pytest.param(SLOW, True, marks=pytest.mark.slow),
    ],
)
def test_a_session_and_its_hooks_are_one_thread(
    provider: FakeProvider, manager: ContextManager, n_turns: int, streamed: bool
) -> None:
    ready(provider)
    session = ContextSession(manager, "s", tenant="calls")
    hooks = ContextHooks(manager, session=session)
    alone = ContextSession(manager, "alone", tenant="others")
    same = ContextHooks(manager, tenant="others")

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client)
        for asked in questions(n_turns):
            await ask(agent, hooks, session, asked, streamed)
        items = await session.get_items()
        assert await session.get_items(3) == items[-3:]
        seen, provider.seen[:] = provider.seen[:], []
        for asked in questions(min(n_turns, 8)):  # what a session of its own would have kept
            await ask(agent, same, alone, asked, streamed)
        expected = [_plain(item) for item in await alone.get_items()]
        assert [_plain(item) for item in items[: len(expected)]] == expected
        provider.seen[:] = seen

    run(provider, go)
    check(provider, manager, n_turns)
    assert [record.name for record in manager.threads("calls")] == ["s"]
    assert len(session.thread) == 1 + 4 * n_turns + sum(1 for n in range(n_turns) if n % 3 == 0)


def _plain(item: Any) -> dict[str, Any]:
    """An item without the ids that differ from run to run."""
    ids = ("id", "call_id", "provider_data")
    return {key: value for key, value in item.items() if key not in ids}


def test_a_shared_session_survives_errors_pops_and_other_processes(
    provider: FakeProvider, tmp_path: Path
) -> None:
    ready(provider)
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}

    async def first(client: AsyncOpenAI) -> None:
        with made(history=history) as manager:
            session = ContextSession(manager, "s")
            hooks = ContextHooks(manager, session=session)
            agent = agent_of(client)
            provider.failures = [Failure(500)]
            with pytest.raises(APIError):
                await ask(agent, hooks, session, question(1))
            await session.clear_session()
            await ask(agent, hooks, session, question(1))
            provider.failures = [Failure(500)]
            with pytest.raises(APIError):
                await ask(agent, hooks, session, question(2))

    async def second(client: AsyncOpenAI) -> None:
        with made(history=history) as manager:
            session = ContextSession(manager, "s")
            hooks = ContextHooks(manager, session=session)
            agent = agent_of(client)
            await ask(agent, hooks, session, question(4))
            n_items = len(await session.get_items())
            answer: Any = await session.pop_item()
            assert "all is well" in str(answer)
            assert len(await session.get_items()) == n_items - 1
            await ask(agent, hooks, session, question(5))
            assert question(5).strip() in str(await session.get_items())
            assert len(session.thread.turns()) == 2
            assert {record.name.partition("~")[0] for record in manager.threads()} == {"s"}
            assert manager.verify() == []
            with pytest.raises(ConfigError, match="leave thread= out"):
                ContextHooks(manager, session=session, thread="t")

    run(provider, first)
    run(provider, second)
    assert not provider.refused


def test_a_shared_session_without_its_hooks_keeps_what_is_said(
    provider: FakeProvider, manager: ContextManager
) -> None:
    ready(provider)
    session = ContextSession(manager, "s")
    ContextHooks(manager, session=session)

    async def go(client: AsyncOpenAI) -> None:
        await Runner.run(agent_of(client), question(1), session=session)
        kept = await session.get_items()
        assert [item.get("type", "message") for item in map(dict, kept)][2:4] == [
            "function_call",
            "function_call_output",
        ]

    run(provider, go)
    assert len(session.thread) == 4


def test_by_responses_with_reasoning(provider: FakeProvider, manager: ContextManager) -> None:
    ready(provider)
    plain_agent = provider.respond

    def thinking(body: dict[str, Any]) -> Answer:
        answer = plain_agent(body)
        return Answer(answer.text, answer.calls, reasoning="Let me think about it.")

    provider.respond = thinking
    provider.window = 2 * WINDOW  # the fake counts items by another rule than the counter does
    session = ContextSession(manager, "s", tenant="calls")
    hooks = ContextHooks(manager, session=session)
    settings = ModelSettings(
        max_tokens=RESERVE, store=False, response_include=["reasoning.encrypted_content"]
    )

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client, OpenAIResponsesModel, model_settings=settings)
        for asked in questions(6):
            await ask(agent, hooks, session, asked)

    run(provider, go)
    assert not provider.refused
    (record,) = manager.threads("calls")
    thread = manager.thread(record.name, tenant="calls")
    assert len(thread.turns()) == 12
    assert all(body["instructions"] == scenario.SYSTEM for body in (s.body for s in provider.seen))
    parts = [part for message in thread.history() for part in message.parts]
    assert sum(isinstance(part, ReasoningPart) for part in parts) == 12
    assert "sealed:" in json.dumps(provider.seen[-1].body["input"])


def test_images_and_structured_output(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = lambda _: Answer('{"gate": 12}')
    hooks, session = ContextHooks(manager, tenant="calls"), ContextSession(manager, "s")
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    words = {"type": "input_text", "text": "Which gate is in the picture?"}
    asked: Any = [{"role": "user", "content": [words, image]}]

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client, output_type=Verdict)
        assert await ask(agent, hooks, session, asked) == Verdict(gate=12)
        assert await ask(agent, hooks, session, "And now?") == Verdict(gate=12)

    run(provider, go)
    assert not provider.refused
    assert "iVBORw0KGgo=" in json.dumps(provider.seen[-1].body["messages"])
    assert len(manager.threads("calls")) == 1


def test_handoffs_count_as_tools(provider: FakeProvider, manager: ContextManager) -> None:
    def respond(body: dict[str, Any]) -> Answer:
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        return Answer("", (("transfer_to_clerk", {}),)) if names[2:] else Answer("Here I am.")

    provider.respond = respond
    hooks, session = ContextHooks(manager), ContextSession(manager, "s", tenant="sessions")

    async def go(client: AsyncOpenAI) -> None:
        clerk = agent_of(client)
        clerk.name = "clerk"
        front = agent_of(client, handoffs=[clerk])
        assert await ask(front, hooks, session, "A human, please") == "Here I am."

    run(provider, go)
    assert not provider.refused
    ledgers = [t for r in manager.threads() for t in manager.thread(r.name).turns()]
    assert sorted(t.usage.input_tokens for t in ledgers if t.usage) == sorted(
        seen.usage["prompt_tokens"] for seen in provider.seen
    )


def test_errors_record_nothing_and_the_next_run_goes_on(
    provider: FakeProvider, manager: ContextManager
) -> None:
    hooks, session = ContextHooks(manager, thread="t"), ContextSession(manager, "s")

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client)
        provider.failures = [Failure(500)]
        with pytest.raises(APIError):
            await ask(agent, hooks, session, "Hello?")
        assert len(manager.thread("t")) == 0
        with pytest.raises(BudgetExceeded):
            await Runner.run(agent, "word " * 5000, hooks=hooks, run_config=hooks.config())
        await ask(agent, hooks, session, "Hello again?")

    run(provider, go)
    assert len(manager.thread("t").turns()) == 1


def test_runs_at_once_keep_apart(provider: FakeProvider, manager: ContextManager) -> None:
    ready(provider)
    hooks = ContextHooks(manager, tenant="calls")

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client)
        sessions = [ContextSession(manager, f"s{n}") for n in range(6)]
        for turn in range(2):
            runs = [
                ask(agent, hooks, session, question(10 * n + turn))
                for n, session in enumerate(sessions)
            ]
            await asyncio.gather(*runs)

    run(provider, go)
    assert not provider.refused
    records = manager.threads("calls")
    assert len(records) == 6
    threads = [manager.thread(record.name, tenant="calls") for record in records]
    assert [len(thread.turns()) for thread in threads] == [4] * 6


def test_another_filter_of_the_run_is_replaced_and_the_rest_of_it_kept(
    manager: ContextManager,
) -> None:
    hooks = ContextHooks(manager)
    config = hooks.config(RunConfig(workflow_name="w"))
    assert config.workflow_name == "w"
    assert config.call_model_input_filter == hooks.filter


ITEMS: Any = [
    {"role": "user", "content": "Hello"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed:x"},
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "c1",
        "name": "look_up",
        "arguments": "{ }",
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "c1", "output": "found"},
    {"type": "made_up_yesterday", "id": "x", "payload": {"deep": [1, None, "ü"]}},
]


def test_a_session_gives_back_what_was_said(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}

    async def write() -> None:
        with made(history=history) as manager:
            session = ContextSession(manager, "s", tenant="acme")
            await session.add_items(ITEMS)
            assert await session.get_items() == ITEMS
            assert await session.get_items(2) == ITEMS[-2:]
            assert await session.pop_item() == ITEMS[-1]
            await session.add_items(ITEMS[:1])
            assert await ContextSession(manager, "s", tenant="zenith").get_items() == []

    async def read() -> None:
        with made(history=history) as manager:
            session = ContextSession(manager, "s", tenant="acme")
            assert await session.get_items() == [*ITEMS[:-1], ITEMS[0]]
            await session.clear_session()
            assert await session.get_items() == []
            assert await session.pop_item() is None
            await session.add_items(ITEMS[:1])
            assert await ContextSession(manager, "s", tenant="acme").get_items() == ITEMS[:1]
            assert len(manager.thread("s", tenant="acme")) == len(ITEMS)
            assert manager.verify() == []

    asyncio.run(write())
    asyncio.run(read())
