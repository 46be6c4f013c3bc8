"""Agents of Microsoft Agent Framework against a strict local provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Agent, Content, Message, apply_compaction, tool
from openai import AsyncOpenAI
from pydantic import BaseModel

from contextkit.adapters.agent_framework import ContextCompaction, ContextHistory, ContextMiddleware
from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, manager_of, question
from tests.adapters.scenario import MODEL, QUICK, SLOW, SYSTEM, check, made, questions, ready
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

clients: Any = pytest.importorskip("agent_framework.openai")
try:
    CLIENT: Any = clients.OpenAIChatCompletionClient
except ModuleNotFoundError:
    pytest.skip("agent-framework-openai is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Verdict(BaseModel):
    """A structured answer."""

    gate: int


def run(provider: FakeProvider, work: Callable[[AsyncOpenAI], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as client:
            await work(client)

    asyncio.run(opened())


def agent_of(client: AsyncOpenAI, manager: ContextManager, **more: Any) -> Agent[Any]:
    return Agent(
        CLIENT(MODEL, async_client=client),
        SYSTEM,
        tools=[tool(scenario.look_up), tool(scenario.weigh)],
        default_options={"max_tokens": RESERVE},
        **{"middleware": [ContextMiddleware(manager)], **more},
    )


async def ask(agent: Agent[Any], asked: Any, session: Any, streamed: bool = False) -> Any:
    if not streamed:
        return await agent.run(asked, session=session)
    stream = agent.run(asked, session=session, stream=True)
    async for _ in stream:
        pass
    return await stream.get_final_response()


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

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client, manager)
        session = agent.create_session(session_id="s")
        for asked in questions(n_turns):
            answer = await ask(agent, asked, session, streamed)
            assert "all is well" in answer.text

    run(provider, go)
    check(provider, manager, n_turns)
    assert [record.name for record in manager.threads()] == ["s/calls"]


def test_history_is_kept_whole_and_read_again(provider: FakeProvider, tmp_path: Path) -> None:
    ready(provider)
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}

    for part in range(2):
        with made(history=history) as manager:

            async def go(
                client: AsyncOpenAI, manager: ContextManager = manager, part: int = part
            ) -> None:
                kept = ContextHistory(manager, tenant="acme")
                agent = agent_of(client, manager, context_providers=[kept])
                session = agent.create_session(session_id="s")
                for number in range(3 * part, 3 * part + 3):
                    await ask(agent, question(number), session)
                said = await kept.get_messages("s")
                assert [m.text for m in said if m.role == "user"] == [
                    question(n) for n in range(3 * part + 3)
                ]
                assert await kept.get_messages(None) == []

            run(provider, go)
            assert len(manager.threads()) == 1
            assert len(manager.thread("s/calls").turns()) == 6 * (part + 1)
            assert manager.verify() == []
    assert not provider.refused


def test_images_structured_output_and_an_overflow(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond = lambda _: Answer('{"gate": 12}')
    image = Content.from_uri("data:image/png;base64,iVBORw0KGgo=", media_type="image/png")
    asked = Message("user", ["Which gate is in the picture?", image])

    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client, manager)
        session = agent.create_session(session_id="s")
        answer = await agent.run(asked, session=session, options={"response_format": Verdict})
        assert answer.value == Verdict(gate=12)
        for number in range(12):
            await ask(agent, f"{question(number)} " + "and so on " * 40, session)
        provider.window = 1200
        await ask(agent, "The last one?", session)

    run(provider, go)
    assert "iVBORw0KGgo=" in json.dumps(provider.seen[1].body["messages"])
    assert [seen.status for seen in provider.seen[-2:]] == [400, 200]
    assert len(manager.thread("s/calls").turns()) == 14
    assert len(manager.threads()) == 1


def test_errors_record_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    async def go(client: AsyncOpenAI) -> None:
        agent = agent_of(client, manager, middleware=[ContextMiddleware(manager, thread="t")])
        provider.failures = [Failure(500)]
        with pytest.raises(Exception, match="scripted failure"):
            await ask(agent, "Hello?", None)
        with pytest.raises(BudgetExceeded):
            await ask(agent, "word " * 5000, None)
        assert len(manager.thread("t")) == 0
        await ask(agent, "Hello?", None)

    run(provider, go)
    assert provider.seen[0].body == provider.seen[1].body
    assert len(manager.thread("t").turns()) == 1


def test_a_strategy_excludes_with_its_reasons() -> None:
    messages = [Message("system", [SYSTEM])]
    for number in range(40):
        call = Content.from_function_call(f"c{number}", "look_up", arguments='{"topic": "x"}')
        messages += [
            Message("user", [question(number)]),
            Message("assistant", [call]),
            Message("tool", [Content.from_function_result(f"c{number}", result="found " * 120)]),
            Message("assistant", ["All is well with it."]),
        ]
    with manager_of({"kind": "openai", "model": MODEL, "api_key": "k"}) as manager:
        strategy = ContextCompaction(manager)
        shown = asyncio.run(apply_compaction(messages, strategy=strategy))
        again = asyncio.run(apply_compaction(messages, strategy=strategy))
        assert manager.verify() == []
    assert again == shown
    assert messages[-4] in shown
    assert shown[0] is messages[0]
    assert len(shown) < len(messages) / 2
    reasons = {m.additional_properties.get("_exclude_reason", "").split(":")[0] for m in messages}
    assert reasons == {"", "contextkit sliding_window", "contextkit tool_results"}
    calls = [c.call_id for m in shown for c in m.contents if c.type == "function_call"]
    results = [c.call_id for m in shown for c in m.contents if c.type == "function_result"]
    assert calls == results


CONTENTS = [
    Content.from_text("words", additional_properties={"k": 1}),
    Content.from_text_reasoning(text="hm", protected_data="sealed"),
    Content.from_text_reasoning(protected_data="sealed"),
    Content.from_function_call("c1", "f", arguments={"a": [1, None]}, id="call-id"),
    Content.from_function_call("c2", "f", arguments='{ "a":1}'),
    Content.from_function_result("c1", result="ok", additional_properties={"x": "y"}),
    Content.from_function_result(
        "c1",
        result=[
            Content.from_text("see"),
            Content.from_uri("https://x.org/i.png", media_type="image/png"),
        ],
    ),
    Content.from_uri("https://x.org/a.pdf", media_type="application/pdf"),
    Content.from_uri("data:image/png;base64,iVBORw0KGgo=", media_type="image/png"),
    Content.from_hosted_file("file-1"),
    Content.from_error(message="went wrong", error_code="e"),
]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.type)
def test_what_is_stored_comes_back(content: Content, manager: ContextManager) -> None:
    role = "tool" if content.type == "function_result" else "assistant"
    given = [
        Message("assistant", [Content.from_function_call("c1", "f", arguments="{}")]),
        Message(role, [content], author_name="a", message_id="m", additional_properties={"p": 2}),
    ]
    history = ContextHistory(manager)

    async def go() -> list[Message]:
        await history.save_messages("s", given[role != "tool" :])
        return await history.get_messages("s")

    assert asyncio.run(go())[-1].to_dict() == given[-1].to_dict()
