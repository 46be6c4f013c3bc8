"""Agents of Google ADK against a strict local provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from contextkit.manager import ContextManager
from tests.adapters import scenario
from tests.adapters.managers import RESERVE, manager_of
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

pytest.importorskip("google.adk")
agents: Any = pytest.importorskip("google.adk.agents")
apps: Any = pytest.importorskip("google.adk.apps")
runners: Any = pytest.importorskip("google.adk.runners")
run_config: Any = pytest.importorskip("google.adk.agents.run_config")
models: Any = pytest.importorskip("google.adk.integrations.openai")
claude: Any = pytest.importorskip("google.adk.models.anthropic_llm")
types: Any = pytest.importorskip("google.genai.types")

from contextkit.adapters._adk_forms import Reader, content_of  # noqa: E402
from contextkit.adapters.google_adk import ContextPlugin  # noqa: E402

CLAUDE = "claude-sonnet-5"
Ask = Callable[..., Coroutine[Any, Any, str]]


def run(
    provider: FakeProvider,
    manager: ContextManager,
    work: Callable[[Ask], Coroutine[Any, Any, None]],
    model: Any = None,
    system: str = SYSTEM,
) -> None:
    """An agent of one session, asked by what `work` is given."""
    gpt = models.OpenAILlm(model=MODEL, base_url=provider.openai_url, api_key="k")

    async def opened() -> None:
        agent = agents.Agent(
            name="researcher",
            model=model or gpt,
            instruction=system,
            tools=[scenario.look_up, scenario.weigh],
            generate_content_config=types.GenerateContentConfig(max_output_tokens=RESERVE),
        )
        app = apps.App(name="desk", root_agent=agent, plugins=[ContextPlugin(manager)])
        runner = runners.InMemoryRunner(app=app)
        await runner.session_service.create_session(app_name="desk", user_id="u", session_id="s")

        async def ask(text: str, *parts: Any, streamed: bool = False) -> str:
            said = types.Content(role="user", parts=[types.Part(text=text), *parts])
            mode = run_config.StreamingMode.SSE if streamed else run_config.StreamingMode.NONE
            answer = ""
            async for event in runner.run_async(
                user_id="u",
                session_id="s",
                new_message=said,
                run_config=run_config.RunConfig(streaming_mode=mode, max_llm_calls=0),
            ):
                if event.error_code:
                    raise RuntimeError(event.error_message)
                if event.is_final_response() and event.content:
                    answer = "".join(part.text or "" for part in event.content.parts)
            return answer

        try:
            await work(ask)
        finally:
            await runner.close()

    asyncio.run(opened())


@pytest.mark.parametrize("n_turns", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_with_tools(
    provider: FakeProvider, manager: ContextManager, n_turns: int, streamed: bool
) -> None:
    ready(provider)

    async def go(ask: Ask) -> None:
        for asked in questions(n_turns):
            assert "all is well" in await ask(asked, streamed=streamed)

    run(provider, manager, go)
    check(provider, manager, n_turns)
    assert [record.name for record in manager.threads()] == ["desk/u/s/researcher"]


def test_errors_record_nothing_and_images_go_through(
    provider: FakeProvider, manager: ContextManager
) -> None:
    image = types.Part(inline_data=types.Blob(data=b"\x89PNG", mime_type="image/png"))
    provider.respond = lambda _: Answer("A picture.")

    async def go(ask: Ask) -> None:
        provider.failures = [Failure(403)]
        with pytest.raises(Exception, match="scripted failure"):
            await ask("Hello?")
        assert len(manager.thread("desk/u/s/researcher")) == 0
        assert await ask("What is in the picture?", image) == "A picture."
        assert await ask("Are you sure?") == "A picture."
        with pytest.raises(RuntimeError, match="tokens must be sent, 3,584 fit"):
            await ask("word " * 5000)

    run(provider, manager, go)
    assert not provider.refused
    assert "iVBORw==" in str(provider.seen[-1].body["messages"])
    assert len(manager.thread("desk/u/s/researcher").turns()) == 2


def test_claude_is_asked_to_cache(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.origin)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    ready(provider)

    async def go(ask: Ask) -> None:
        for asked in questions(12):
            await ask(asked)

    with manager_of({"kind": "anthropic", "model": CLAUDE, "api_key": "k"}) as manager:
        model = claude.AnthropicLlm(model=CLAUDE)
        run(provider, manager, go, model, "You are a careful researcher. " * 30)
        check_cached(provider, manager)


PARTS = [
    {"text": "words"},
    {"text": "signed", "thought_signature": b"seal"},
    {"text": "hm", "thought": True, "thought_signature": b"seal"},
    {"function_call": {"id": "c1", "name": "f", "args": {"a": [1, None]}}},
    {"function_call": {"name": "f", "args": {}}, "thought_signature": b"seal"},
    {"function_response": {"id": "c1", "name": "f", "response": {"result": "found"}}},
    {"inline_data": {"data": b"\x89PNG", "mime_type": "image/png"}},
    {"inline_data": {"data": b"%PDF", "mime_type": "application/pdf"}},
    {"file_data": {"file_uri": "gs://b/f", "mime_type": "text/plain"}},
    {"executable_code": {"code": "print()", "language": "PYTHON"}},
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: next(iter(part)))
def test_parts_go_there_and_back(part: dict[str, Any]) -> None:
    content = types.Content(role="model", parts=[types.Part(**part)])
    role = "user" if "function_response" in part else "model"
    assert content_of(Reader().message(content)) == types.Content(role=role, parts=content.parts)


def test_calls_without_ids_are_known_by_their_place() -> None:
    def calls(*names: str) -> Any:
        return types.Content(
            role="model", parts=[types.Part(function_call={"name": name}) for name in names]
        )

    def results(*names: str) -> Any:
        parts = [types.Part(function_response={"name": n, "response": {}}) for n in names]
        return types.Content(role="user", parts=parts)

    reader = Reader()
    read = [
        reader.message(c) for c in (calls("f", "g"), results("g", "f"), calls("f"), results("f"))
    ]
    assert [c.id for m in read for c in m.tool_calls] == ["adk-0", "adk-1", "adk-2"]
    assert [r.call_id for m in read for r in m.tool_results] == ["adk-1", "adk-0", "adk-2"]


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("Google ADK", provider, monkeypatch, tmp_path)
