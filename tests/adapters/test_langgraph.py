"""Graphs with the model node, against a strict local provider."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

pytest.importorskip("langgraph", reason='needs pip install "contextkit[langgraph]"')

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from openai import InternalServerError

from contextkit.adapters.langgraph import ModelNode
from contextkit.manager import ContextManager
from tests.adapters.langchain_model import LocalChat
from tests.adapters.scenario import (
    QUICK,
    SLOW,
    SYSTEM,
    check,
    look_up,
    questions,
    ready,
    weigh,
)
from tests.fakes.answers import Failure, saying
from tests.fakes.provider import FakeProvider

CONFIG = {"configurable": {"thread_id": "support/42"}}


def graph_of(provider: FakeProvider, manager: ContextManager, *tools: Any) -> Any:
    model = LocalChat(base_url=provider.openai_url)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("model", ModelNode(model, manager, tools=tools, system=SYSTEM))
    graph.add_edge(START, "model")
    if tools:
        graph.add_node("tools", ToolNode(tools))
        graph.add_conditional_edges("model", tools_condition)
        graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


def run(graph: Any, n_turns: int, way: str) -> None:
    async def asynchronous(state: Any) -> None:
        await graph.ainvoke(state, CONFIG)

    for asked in questions(n_turns):
        state = {"messages": [HumanMessage(asked)]}
        if way == "invoke":
            graph.invoke(state, CONFIG)
        elif way == "stream":
            assert list(graph.stream(state, CONFIG, stream_mode="messages"))
        else:
            anyio.run(asynchronous, state)


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
def test_a_graph(provider: FakeProvider, manager: ContextManager, way: str) -> None:
    n_turns = QUICK if way == "invoke" else 6
    graph = graph_of(ready(provider), manager, look_up, weigh)
    run(graph, n_turns, way)
    check(provider, manager, n_turns)
    kept = graph.get_state(CONFIG).values["messages"]
    assert sum(isinstance(m, HumanMessage) for m in kept) == n_turns
    assert [record.name for record in manager.threads()] == ["support/42"]


@pytest.mark.slow
def test_a_graph_for_200_turns(provider: FakeProvider, manager: ContextManager) -> None:
    run(graph_of(ready(provider), manager, look_up, weigh), SLOW, "invoke")
    check(provider, manager, SLOW)


def test_a_run_from_an_earlier_checkpoint(provider: FakeProvider, manager: ContextManager) -> None:
    graph = graph_of(provider, manager)
    for asked in ("First?", "Second?", "Third?"):
        graph.invoke({"messages": [HumanMessage(asked)]}, CONFIG)
    after_one = next(
        state for state in graph.get_state_history(CONFIG) if len(state.values["messages"]) == 2
    )
    graph.invoke({"messages": [HumanMessage("Otherwise?")]}, after_one.config)
    said = [m["content"] for m in provider.seen[-1].body["messages"]]
    assert said == [SYSTEM, "First?", "You said: First?", "Otherwise?"]
    first, second = sorted(manager.threads(), key=lambda record: record.name)
    assert len(manager.thread(first.name)) == 7
    assert second.name.startswith("support/42~")
    assert len(manager.thread(second.name)) == 5
    assert manager.verify() == []


def test_a_failed_call_leaves_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    provider.failures = [Failure(500)]
    graph = graph_of(provider, manager)
    with pytest.raises(InternalServerError):
        graph.invoke({"messages": [HumanMessage("Which gate?")]}, CONFIG)
    assert len(manager.thread("support/42")) == 0
    graph.invoke(None, CONFIG)  # LangGraph goes on from its checkpoint
    assert provider.seen[0].body == provider.seen[1].body
    assert len(manager.thread("support/42")) == 3


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_too_long_for_the_provider(
    provider: FakeProvider, manager: ContextManager, way: str
) -> None:
    provider.respond, provider.window = saying("It is gate twelve."), 2000
    node = ModelNode(LocalChat(base_url=provider.openai_url), manager)
    said: list[Any] = []
    for number in range(20):
        said += [HumanMessage(f"Place {number}? " * 9), AIMessage("By the sea. " * 20)]
    state = {"messages": [*said, HumanMessage("Which gate?")]}
    found = node.invoke(state) if way == "invoke" else anyio.run(node.ainvoke, state)
    assert found["messages"][0].content == "It is gate twelve."
    assert [s.status for s in provider.seen] == [400, 200]
    assert provider.seen[1].body["messages"][-1]["content"] == "Which gate?"
