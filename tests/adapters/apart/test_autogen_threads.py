"""AutoGen: which thread holds what was said and which the calls, whatever an agent's run comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from contextkit.manager import ContextManager
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, question
from tests.adapters.scenario import MODEL, SYSTEM, questions, ready
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider

agents: Any = pytest.importorskip("autogen_agentchat.agents")
teams: Any = pytest.importorskip("autogen_agentchat.teams")
conditions: Any = pytest.importorskip("autogen_agentchat.conditions")
openai: Any = pytest.importorskip("autogen_ext.models.openai")

from contextkit.adapters.autogen import ContextClient, ContextHistory  # noqa: E402


def run(provider: FakeProvider, work: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Work with one client of AutoGen's own, which agents may share."""

    async def opened() -> None:
        client = openai.OpenAIChatCompletionClient(
            model=MODEL,
            base_url=provider.openai_url,
            api_key="k",
            max_retries=0,
            max_tokens=RESERVE,
            include_name_in_message=False,
        )
        try:
            await work(client)
        finally:
            await client.close()

    asyncio.run(opened())


def agent_of(client: Any, manager: ContextManager, name: str, **more: Any) -> Any:
    """An agent whose history is the thread `s/NAME` and whose calls are `s/NAME/calls`."""
    return agents.AssistantAgent(
        name,
        ContextClient(client, manager, thread=f"s/{name}/calls"),
        model_context=ContextHistory(manager, f"s/{name}"),
        system_message=SYSTEM,
        **more,
    )


def threads(manager: ContextManager) -> dict[str, tuple[int, int]]:
    """Messages and turns by the name of the thread."""
    found = {record.name: manager.thread(record.name) for record in manager.threads()}
    return {name: (len(thread), len(thread.turns())) for name, thread in found.items()}


def test_a_team_keeps_a_history_and_calls_for_each_agent(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond = lambda _: Answer("All is well.")

    async def go(client: Any) -> None:
        pair = [agent_of(client, manager, name) for name in ("asker", "teller")]
        team = teams.RoundRobinGroupChat(
            pair, termination_condition=conditions.MaxMessageTermination(5)
        )
        await team.run(task="Which gate?")
        state = await team.save_state()
        before = [await each.model_context.get_messages() for each in pair]
        await team.reset()
        assert [await each.model_context.get_messages() for each in pair] == [[], []]
        await team.load_state(state)
        assert [await each.model_context.get_messages() for each in pair] == before
        assert {m.source for said in before for m in said} == {"user", "asker", "teller"}
        await team.run(task="And the seat?")

    run(provider, go)
    held = threads(manager)
    calls = {name: n_turns for name, (_, n_turns) in held.items() if name.endswith("/calls")}
    assert calls == {"s/asker/calls": 4, "s/teller/calls": 4}
    assert sum(calls.values()) == len(provider.seen)
    assert all(not n_turns for name, (_, n_turns) in held.items() if name not in calls)
    assert manager.verify() == []


def test_a_call_whose_run_was_abandoned_is_billed_and_not_said(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond = lambda _: Answer("Let me see.", (("look_up", {"topic": "gates"}),))

    async def go(client: Any) -> None:
        agent = agent_of(client, manager, "clerk", tools=[scenario.look_up])
        stream = agent.run_stream(task="Which gate?")
        async for event in stream:
            if event.type == "ThoughtEvent":  # the model has answered, the agent has not kept it
                break
        await stream.aclose()
        assert threads(manager) == {"s/clerk": (1, 0), "s/clerk/calls": (3, 1)}
        provider.respond = lambda _: Answer("B42.")
        await agent.run(task="Well?")

    run(provider, go)
    held = threads(manager)
    assert held.pop("s/clerk") == (3, 0)
    assert held.pop("s/clerk/calls") == (3, 1)
    ((other, (_, n_turns)),) = held.items()
    assert other.startswith("s/clerk/calls~")
    assert n_turns == 1
    assert not provider.refused


@pytest.mark.parametrize(
    ("more", "moves"), [({"reflect_on_tool_use": True}, True), ({"max_tool_iterations": 2}, False)]
)
def test_reflecting_asks_without_the_tools_and_moves_the_prefix(
    provider: FakeProvider, manager: ContextManager, more: dict[str, Any], moves: bool
) -> None:
    ready(provider)
    tools = [scenario.look_up, scenario.weigh]

    async def go(client: Any) -> None:
        agent = agent_of(client, manager, "clerk", tools=tools, **more)
        for asked in questions(4):
            await agent.run(task=asked)

    run(provider, go)
    turns = manager.thread("s/clerk/calls").turns()
    assert [turn.prefix.moved for turn in turns] == [False] + [moves] * 7
    assert [bool(seen.body.get("tools")) for seen in provider.seen] == [True, not moves] * 4
    assert question(3) in str(provider.seen[-1].body)
