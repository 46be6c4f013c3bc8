"""Pydantic-AI agents with the capability, against a strict local provider."""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

pytest.importorskip("pydantic_ai", reason='needs pip install "contextkit[pydantic-ai]"')

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    CachePoint,
    FilePart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from contextkit.adapters.pydantic_ai import ManagedContext
from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, result
from tests.adapters.scenario import (
    MODEL,
    QUICK,
    SLOW,
    SYSTEM,
    check,
    ledgers,
    look_up,
    made,
    questions,
    ready,
    weigh,
)
from tests.fakes.answers import Answer, Failure, saying
from tests.fakes.provider import FakeProvider


def agent_of(provider: FakeProvider, manager: ContextManager, **more: Any) -> Agent[Any, Any]:
    # No connection outlives its answer: `ask` has an event loop of its own each time.
    http = httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0))
    url = provider.openai_url
    client = AsyncOpenAI(base_url=url, api_key="k", max_retries=0, http_client=http)
    source = OpenAIProvider(openai_client=client)
    model = OpenAIChatModel(MODEL, provider=source, settings={"max_tokens": RESERVE})
    options = {"tools": [look_up, weigh], "instructions": SYSTEM} | more
    return Agent(model, capabilities=[ManagedContext(manager)], retries=0, **options)


async def watch(_: Any, events: AsyncIterable[Any]) -> None:
    """With a handler for events Pydantic-AI streams every model request."""
    async for _event in events:
        pass


def ask(agent: Agent[Any, Any], asked: str, history: list[ModelMessage] | None = None) -> Any:
    """One run in an event loop of its own."""
    return anyio.run(partial(agent.run, asked, message_history=history))


async def run(agent: Agent[Any, Any], n_turns: int, way: str) -> list[ModelMessage]:
    history: list[ModelMessage] = []
    for asked in questions(n_turns):
        if way == "run":
            history = (await agent.run(asked, message_history=history)).all_messages()
        else:
            found = await agent.run(asked, message_history=history, event_stream_handler=watch)
            history = found.all_messages()
    return history


@pytest.mark.parametrize("way", ["run", "stream"])
def test_an_agent(provider: FakeProvider, manager: ContextManager, way: str) -> None:
    n_turns = QUICK if way == "run" else 8
    history = anyio.run(run, agent_of(ready(provider), manager), n_turns, way)
    check(provider, manager, n_turns)
    assert sum(isinstance(m, ModelResponse) for m in history) == 2 * n_turns


@pytest.mark.slow
def test_an_agent_for_200_turns(provider: FakeProvider, manager: ContextManager) -> None:
    anyio.run(run, agent_of(ready(provider), manager), SLOW, "run")
    check(provider, manager, SLOW)


def test_a_system_prompt(provider: FakeProvider, manager: ContextManager) -> None:
    agent = agent_of(ready(provider), manager, instructions=None, system_prompt=SYSTEM)
    history: list[ModelMessage] = []
    for asked in questions(4):
        history = ask(agent, asked, history).all_messages()
    check(provider, manager, 4)
    assert provider.seen[-1].body["messages"][0] == {"role": "system", "content": SYSTEM}


class Fact(BaseModel):
    """A fact."""

    statement: str


def test_structured_output(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = lambda _: Answer("", (("final_result", {"statement": "Water is wet."}),))
    agent = agent_of(provider, manager, tools=[], output_type=Fact)
    first = ask(agent, "A fact?")
    assert first.output == Fact(statement="Water is wet.")
    ask(agent, "Another?", first.all_messages())
    assert [s.status for s in provider.seen] == [200, 200]
    for turn, seen in zip(ledgers(manager), provider.seen, strict=True):
        assert turn.input_tokens == pytest.approx(seen.usage["prompt_tokens"], abs=8)


def test_a_failed_call_leaves_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    ready(provider).failures = [Failure(400, "no such model")]
    agent = agent_of(provider, manager)
    (asked,) = questions(1)
    with pytest.raises(ModelHTTPError):
        ask(agent, asked)
    assert not [r for r in manager.threads() if len(manager.thread(r.name))]
    ask(agent, asked)
    assert provider.seen[0].body == provider.seen[1].body


@pytest.mark.parametrize("streamed", [False, True])
def test_too_long_for_the_provider(
    provider: FakeProvider, manager: ContextManager, streamed: bool
) -> None:
    provider.respond = saying("It is gate twelve.")
    agent = agent_of(provider, manager, tools=[])
    history: list[ModelMessage] = []
    for number in range(20):
        history.append(ModelRequest.user_text_prompt(f"Place {number}? " * 9))
        history.append(ModelResponse(parts=[TextPart("By the sea. " * 20)]))
    provider.window = 2000

    async def stream() -> None:
        async with agent.run_stream("Which gate?", message_history=history) as answer:
            assert await answer.get_output() == "It is gate twelve."

    if streamed:
        anyio.run(stream)
    else:
        ask(agent, "Which gate?", history)
    assert [s.status for s in provider.seen] == [400, 200]
    assert provider.seen[1].body["messages"][-1]["content"] == "Which gate?"
    (record,) = manager.threads()
    assert len(manager.thread(record.name)) == len(history) + 3  # instructions, request, reply


def test_over_budget(provider: FakeProvider, manager: ContextManager) -> None:
    with pytest.raises(BudgetExceeded):
        ask(agent_of(provider, manager), "word " * 9000)
    assert not provider.seen


def test_objects_that_stay_are_the_same() -> None:
    """Images, reasoning and files go back as they came; of a batch only what was cleared is new."""
    image = BinaryContent(b"\x89PNG\r\n\x1a\n", media_type="image/png")
    long = [result("look_up", str(number)) * 16 for number in range(3)]
    calls = [ToolCallPart("look_up", {"topic": str(n)}, f"call_{n}") for n in range(3)]
    results = [ToolReturnPart("look_up", text, f"call_{n}") for n, text in enumerate(long)]
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart(["What is it?", image, CachePoint()])]),
        ModelResponse(
            [ThinkingPart("Hm.", signature="sig=="), FilePart(image), TextPart("A gate")]
        ),
        ModelRequest([UserPromptPart("Look it up.")]),
        ModelResponse([*calls]),
        ModelRequest([*results]),
        ModelResponse([ToolCallPart("look_up", {"topic": "4"}, "call_4")]),
        ModelRequest([ToolReturnPart("look_up", "Nothing.", "call_4")]),
        ModelResponse([TextPart("Found.")]),
    ]
    shown: list[ModelMessage] = []

    def answer(messages: list[ModelMessage], _: Any) -> ModelResponse:
        shown[:] = messages
        return ModelResponse([TextPart("Twelve.")])

    with made({"kind": "tool_results", "keep_recent": 1}) as manager:
        agent: Agent[Any, Any] = Agent(
            FunctionModel(answer), capabilities=[ManagedContext(manager)]
        )
        ask(agent, "Which gate?", history)
    assert shown[0].parts[0] is history[0].parts[0]
    assert shown[1] is history[1]
    assert shown[3] is history[3]
    cleared = [part for part in shown[4].parts if isinstance(part, ToolReturnPart)]
    assert [part.tool_call_id for part in cleared] == ["call_0", "call_1", "call_2"]
    assert all(len(str(part.content)) < 2000 for part in cleared)


def test_from_a_spec(provider: FakeProvider) -> None:
    assert ManagedContext.get_serialization_name() == "ManagedContext"
    config = {"budget": {"window": 1000, "reply_reserve": 100}, "policies": ["sliding_window"]}
    spec = {"capabilities": [{"ManagedContext": {"config": config, "thread": "spec"}}]}
    model = FunctionModel(lambda *_: ModelResponse([TextPart("Twelve.")]))
    agent: Agent[Any, Any] = Agent.from_spec(
        spec, model=model, custom_capability_types=[ManagedContext]
    )
    assert ask(agent, "Which gate?").output == "Twelve."
