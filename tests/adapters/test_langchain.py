"""LangChain agents with the middleware, against a strict local provider."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

pytest.importorskip("langchain", reason='needs pip install "contextkit[langchain]"')

from langchain.agents import create_agent
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from openai import InternalServerError
from pydantic import BaseModel

from contextkit.adapters.langchain import ContextMiddleware, OverBudget, token_counter
from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters.langchain_model import LocalChat
from tests.adapters.scenario import (
    QUICK,
    SLOW,
    SYSTEM,
    check,
    ledgers,
    look_up,
    questions,
    ready,
    weigh,
)
from tests.fakes.answers import Answer, Failure, saying
from tests.fakes.provider import FakeProvider


def agent_of(provider: FakeProvider, manager: ContextManager, **more: Any) -> Any:
    options: dict[str, Any] = {"tools": [look_up, weigh], "system_prompt": SYSTEM} | more
    middleware = [ContextMiddleware(manager)]
    return create_agent(LocalChat(base_url=provider.openai_url), middleware=middleware, **options)


def run(agent: Any, n_turns: int, way: str) -> list[Any]:
    """Question after question, the caller sending all that was said each time."""
    said: list[Any] = []

    async def asynchronous(state: Any) -> Any:
        if way == "ainvoke":
            return await agent.ainvoke(state)
        return [values async for values in agent.astream(state, stream_mode="values")][-1]

    for asked in questions(n_turns):
        state = {"messages": [*said, {"role": "user", "content": asked}]}
        if way == "invoke":
            said = agent.invoke(state)["messages"]
        elif way == "stream":
            modes = ["messages", "values"]
            said = [v for m, v in agent.stream(state, stream_mode=modes) if m == "values"][-1][
                "messages"
            ]
        else:
            said = anyio.run(asynchronous, state)["messages"]
    return said


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_an_agent(provider: FakeProvider, manager: ContextManager, way: str) -> None:
    n_turns = QUICK if way == "invoke" else 8
    said = run(agent_of(ready(provider), manager), n_turns, way)
    check(provider, manager, n_turns)
    assert sum(isinstance(m, HumanMessage) for m in said) == n_turns  # nothing left the state


@pytest.mark.slow
def test_an_agent_for_200_turns(provider: FakeProvider, manager: ContextManager) -> None:
    run(agent_of(ready(provider), manager), SLOW, "invoke")
    check(provider, manager, SLOW)


def test_a_checkpointer_names_the_thread(provider: FakeProvider, manager: ContextManager) -> None:
    agent = agent_of(ready(provider), manager, checkpointer=InMemorySaver(), name="researcher")
    config = {"configurable": {"thread_id": "support/42"}}
    for asked in questions(6):
        agent.invoke({"messages": [HumanMessage(asked)]}, config)
    check(provider, manager, 6)
    assert [record.name for record in manager.threads()] == ["support/42"]
    account = agent.get_state(config).values["contextkit"]
    assert account["thread"] == "support/42"
    assert account["input_tokens"] == ledgers(manager)[-1].input_tokens


def test_what_is_shown_are_the_agents_own_messages(
    provider: FakeProvider, manager: ContextManager
) -> None:
    odd = {"type": "text", "text": "Look #1", "citations": [{"cited": "…"}]}
    shown: list[Any] = []

    class Watched(LocalChat):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            shown.extend(messages)
            return super()._generate([m for m in messages if m.content != [odd]], **kwargs)

    ready(provider)
    middleware = [ContextMiddleware(manager)]
    agent = create_agent(Watched(base_url=provider.openai_url), middleware=middleware)
    first = HumanMessage([odd], additional_kwargs={"mine": 1})
    agent.invoke({"messages": [first, HumanMessage("Question #1 is this.")]})
    assert shown[0] is first or shown[0] == first
    assert shown[0].additional_kwargs == {"mine": 1}


def test_images_and_reasoning(provider: FakeProvider, manager: ContextManager) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig=="}
    history = [
        HumanMessage([{"type": "text", "text": "What is it?"}, image]),
        AIMessage([thinking, {"type": "text", "text": "A gate."}]),
        HumanMessage("Which one?"),
    ]
    seen: list[Any] = []

    class Watched(LocalChat):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.extend(messages)
            return super()._generate(messages[-1:], **kwargs)

    agent: Any = create_agent(
        Watched(base_url=provider.openai_url), middleware=[ContextMiddleware(manager)]
    )
    agent.invoke({"messages": history})
    assert [m.content for m in seen] == [m.content for m in history]
    (record,) = manager.threads()
    kinds = [type(p).__name__ for p in manager.thread(record.name).history()[1].parts]
    assert kinds == ["ReasoningPart", "TextPart"]


class Fact(BaseModel):
    """A fact."""

    statement: str


def test_structured_output(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = lambda _: Answer("", (("Fact", {"statement": "Water is wet."}),))
    agent = agent_of(provider, manager, tools=[], response_format=Fact)
    found = agent.invoke({"messages": [HumanMessage("A fact?")]})
    assert found["structured_response"] == Fact(statement="Water is wet.")
    found = agent.invoke({"messages": [*found["messages"], HumanMessage("Another?")]})
    assert [s.status for s in provider.seen] == [200, 200]
    (first, second) = ledgers(manager)
    assert first.input_tokens == provider.seen[0].usage["prompt_tokens"]
    assert second.usage is not None
    assert isinstance(found["messages"][-1], ToolMessage)


def test_a_failed_call_leaves_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    ready(provider).failures = [Failure(500)]
    agent = agent_of(provider, manager)
    state = {"messages": [HumanMessage("Question #1 is this.")]}
    with pytest.raises(InternalServerError):
        agent.invoke(state)
    assert not [r for r in manager.threads() if len(manager.thread(r.name))]
    agent.invoke(state)
    assert provider.seen[0].body == provider.seen[1].body
    assert len(ledgers(manager)) == 2


def test_too_long_for_the_provider(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = saying("It is gate twelve.")
    agent = agent_of(provider, manager, tools=[])
    history: list[Any] = []
    for number in range(20):
        history += [HumanMessage(f"Place {number}? " * 9), AIMessage("By the sea. " * 20)]
    provider.window = 2000
    agent.invoke({"messages": [*history, HumanMessage("Which gate?")]})
    assert [s.status for s in provider.seen] == [400, 200]
    assert provider.seen[1].body["messages"][-1]["content"] == "Which gate?"
    assert manager.verify() == []


def test_over_budget_is_langchains_own_error(
    provider: FakeProvider, manager: ContextManager
) -> None:
    agent = agent_of(provider, manager)
    with pytest.raises(OverBudget) as caught:
        agent.invoke({"messages": [HumanMessage("word " * 9000)]})
    assert isinstance(caught.value, BudgetExceeded)
    assert isinstance(caught.value, ContextOverflowError)
    assert caught.value.needed_tokens > caught.value.limit_tokens
    assert not provider.seen


def test_token_counter(manager: ContextManager) -> None:
    count = token_counter(manager)
    assert count([]) == 0
    one = count([HumanMessage("Which gate?")])
    assert count([HumanMessage("Which gate?"), HumanMessage("Which gate?")]) == 2 * one > 0
    called = AIMessage("", tool_calls=cast("Any", [{"id": "1", "name": "f", "args": {"a": "b"}}]))
    assert count([called]) > count([AIMessage("")])
