"""Cache points on a framework's own messages, through its own Anthropic model to a provider that caches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

pytest.importorskip("langchain_anthropic", reason="needs pip install langchain-anthropic")
pytest.importorskip("pydantic_ai", reason='needs pip install "contextkit[pydantic-ai]"')

from anthropic import AsyncAnthropic
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import CachePoint, ModelMessage
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from contextkit.adapters.langchain import ContextMiddleware
from contextkit.adapters.langgraph import ModelNode
from contextkit.adapters.pydantic_ai import ManagedContext
from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of
from tests.adapters.scenario import check_cached, look_up, questions, weigh
from tests.fakes.provider import FakeProvider

MODEL = "claude-sonnet-5"
SYSTEM = "You are a careful researcher. " * 30
N_TURNS = 12
MARK = {"type": "ephemeral"}


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with manager_of({"kind": "anthropic", "model": MODEL, "api_key": "k"}) as made:
        yield made


def chat(provider: FakeProvider) -> ChatAnthropic:
    options: dict[str, Any] = {"base_url": provider.origin, "api_key": "k", "max_retries": 0}
    return ChatAnthropic(model_name=MODEL, max_tokens_to_sample=RESERVE, **options)


def langchain(provider: FakeProvider, manager: ContextManager) -> None:
    made: Any = create_agent(
        chat(provider),
        tools=[look_up, weigh],
        system_prompt=SYSTEM,
        middleware=[ContextMiddleware(manager)],
    )
    said: list[Any] = []
    for asked in questions(N_TURNS):
        said = made.invoke({"messages": [*said, HumanMessage(asked)]})["messages"]


def langgraph(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = lambda body: agent(body | {"messages": [{"role": "tool", "content": "x"}]})
    graph = StateGraph(MessagesState)
    graph.add_node("model", ModelNode(chat(provider), manager, system=SYSTEM))
    graph.add_edge(START, "model")
    made: Any = graph.compile()
    said: list[Any] = []
    for asked in questions(N_TURNS):
        said = made.invoke({"messages": [*said, HumanMessage(asked * 4)]})["messages"]


def pydantic_ai(provider: FakeProvider, manager: ContextManager) -> None:
    async def converse() -> None:
        async with client_of(provider) as client:
            made = agent_of(client, manager)
            said: list[ModelMessage] = []
            for asked in questions(N_TURNS):
                said = (await made.run(asked, message_history=said)).all_messages()

    anyio.run(converse)


def client_of(provider: FakeProvider) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=provider.origin, api_key="k", max_retries=0)


def agent_of(client: AsyncAnthropic, manager: ContextManager) -> Agent[None, str]:
    return Agent(
        AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client)),
        tools=[look_up, weigh],
        system_prompt=SYSTEM,
        capabilities=[ManagedContext(manager)],
        model_settings={"max_tokens": RESERVE},
    )


@pytest.mark.parametrize("run", [langchain, langgraph, pydantic_ai])
def test_what_was_sent_before_is_read_from_the_cache(
    provider: FakeProvider, manager: ContextManager, run: Callable[..., None]
) -> None:
    provider.respond, provider.window = agent, WINDOW
    run(provider, manager)
    check_cached(provider, manager)


def test_marks_of_the_users_own_are_left_to_him(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond, provider.window = agent, WINDOW
    own = {"type": "text", "text": "Question #1 of many", "cache_control": MARK}
    node = ModelNode(chat(provider), manager, system=SYSTEM)
    node.invoke({"messages": [HumanMessage([own])]})

    async def ask() -> None:
        async with client_of(provider) as client:
            await agent_of(client, manager).run(["Question #1 of many", CachePoint()])

    anyio.run(ask)
    for seen in provider.seen[:2]:
        assert json.dumps(seen.body).count("cache_control") == 1


def test_a_model_that_takes_no_points_is_sent_none(provider: FakeProvider) -> None:
    """Behind a gateway the cache rules are not known: the policy asks for points all the same."""
    gateway = {"kind": "openai", "model": "m", "base_url": provider.openai_url, "api_key": "k"}

    async def ask(manager: ContextManager) -> None:
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k") as client:
            model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
            made = Agent(model, system_prompt=SYSTEM, capabilities=[ManagedContext(manager)])
            await made.run("Question #1 of many")

    with manager_of(gateway) as manager:
        anyio.run(ask, manager)
        (record,) = manager.threads()
        assert manager.thread(record.name).assemble("And?").cache_points
    assert [seen.status for seen in provider.seen] == [200]
    assert len(provider.seen[0].body["messages"]) == 2
