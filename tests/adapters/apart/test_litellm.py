"""LiteLLM's functions wrapped, and its hooks, against a strict local provider."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of, question, said
from tests.adapters.scenario import (
    MODEL,
    QUICK,
    SLOW,
    SYSTEM,
    TOOLS,
    check,
    ledgers,
    ready,
    run_tool,
)
from tests.adapters.test_examples import run_block
from tests.fakes.answers import Failure, saying
from tests.fakes.provider import FakeProvider

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm: Any = pytest.importorskip("litellm")

from contextkit.adapters.litellm import ContextLogger, wrap  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")

HEAD = {"role": "system", "content": SYSTEM}
PARAMETERS = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "how": {"type": "string"}},
}
SCHEMAS: Any = [
    {
        "type": "function",
        "function": {"name": name, "description": f"To {name}", "parameters": PARAMETERS},
    }
    for name in TOOLS
]


@pytest.fixture
def hooks(manager: ContextManager) -> Iterator[ContextLogger]:
    logger = ContextLogger(manager)
    litellm.callbacks.append(logger)
    yield logger
    litellm.callbacks.remove(logger)


def request(provider: FakeProvider, history: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "model": f"openai/{MODEL}",
        "messages": history,
        "max_completion_tokens": RESERVE,
        "api_base": provider.openai_url,
        "api_key": "k",
        "num_retries": 0,
        "max_retries": 0,
        "tools": SCHEMAS,
        **more,
    }


def answers(message: Any) -> list[dict[str, Any]]:
    return [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": run_tool(call.function.name, json.loads(call.function.arguments)),
        }
        for call in message.tool_calls or ()
    ]


def whole(chunks: list[Any]) -> Any:
    return litellm.stream_chunk_builder(chunks).choices[0].message


@pytest.mark.parametrize("n_turns", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_a_loop_with_tools(provider: FakeProvider, manager: ContextManager, n_turns: int) -> None:
    ready(provider)
    completion = wrap(litellm.completion, manager)
    history: list[Any] = [HEAD]
    for number in range(n_turns):
        history.append({"role": "user", "content": question(number)})
        while True:
            if number % 5 == 1:
                options = {"include_usage": True}
                asked = request(provider, history, stream=True, stream_options=options)
                message = whole(list(completion(**asked)))
            else:
                message = completion(**request(provider, history)).choices[0].message
            assert question(number) in str(provider.seen[-1].body["messages"])
            history.append(message)
            results = answers(message)
            if not results:
                break
            history += results
    check(provider, manager, n_turns)


def test_claude_gets_cache_points(provider: FakeProvider) -> None:
    provider.respond, provider.window = agent, WINDOW
    backend = {"kind": "anthropic", "model": "claude-sonnet-5", "api_key": "k"}
    with manager_of(backend) as manager:
        completion = wrap(litellm.completion, manager)
        history: list[Any] = [{"role": "system", "content": SYSTEM * 30}]
        for number in range(QUICK):
            history.append({"role": "user", "content": question(number)})
            results = history
            while results:
                message = (
                    completion(
                        model="anthropic/claude-sonnet-5",
                        messages=history,
                        tools=SCHEMAS,
                        max_tokens=RESERVE,
                        api_base=provider.origin,
                        api_key="k",
                    )
                    .choices[0]
                    .message
                )
                history.append(message)
                results = answers(message)
                history += results
        assert not provider.refused
        assert all("cache_control" in json.dumps(seen.body) for seen in provider.seen)
        read = sum(seen.usage["cache_read_input_tokens"] for seen in provider.seen)
        assert read > 5 * sum(seen.usage["input_tokens"] for seen in provider.seen)
        recorded = [turn.usage.cache_read_tokens for turn in ledgers(manager) if turn.usage]
        assert recorded == [seen.usage["cache_read_input_tokens"] for seen in provider.seen]


def test_nothing_is_recorded_after_an_error(
    provider: FakeProvider, manager: ContextManager
) -> None:
    completion: Any = wrap(litellm.completion, manager, thread="t")
    provider.failures = [Failure(500)]
    asked = request(provider, [{"role": "user", "content": "Hello?"}])
    with pytest.raises(litellm.InternalServerError):
        completion(**asked)
    assert len(manager.thread("t")) == 0
    completion(asked.pop("model"), asked.pop("messages"), **asked)
    assert provider.seen[0].body == provider.seen[1].body
    assert len(manager.thread("t")) == 2


@pytest.mark.parametrize("way", ["wrapped", "hooks"])
def test_async(
    provider: FakeProvider, manager: ContextManager, hooks: ContextLogger, way: str
) -> None:
    ready(provider)
    if way == "wrapped":
        litellm.callbacks.remove(hooks)

    async def go() -> list[Any]:
        completion = litellm.acompletion if way == "hooks" else wrap(litellm.acompletion, manager)
        history: list[Any] = [HEAD]
        for number in range(12):
            history.append({"role": "user", "content": question(number)})
            while True:
                if number % 3 == 1:
                    options = {"include_usage": True}
                    asked = request(provider, history, stream=True, stream_options=options)
                    message = whole([chunk async for chunk in await completion(**asked)])
                    await asyncio.sleep(0.05)  # LiteLLM tells of streams behind the caller's back
                else:
                    answer = await completion(**request(provider, history))
                    message = answer.choices[0].message
                history.append(message)
                results = answers(message)
                if not results:
                    break
                history += results
        return history

    history = asyncio.run(go())
    if way == "wrapped":
        litellm.callbacks.append(hooks)
    check(provider, manager, 12)
    (record,) = manager.threads()
    assert len(manager.thread(record.name).history()) == len(history)


def test_a_router_tries_again_and_the_turn_is_kept_once(
    provider: FakeProvider, manager: ContextManager, hooks: ContextLogger
) -> None:
    provider.failures = [Failure(500), Failure(429)]
    deployment = {
        "model_name": "agent",
        "litellm_params": {
            "model": f"openai/{MODEL}",
            "api_base": provider.openai_url,
            "api_key": "k",
            "max_retries": 0,
        },
    }

    async def go() -> None:
        router = litellm.Router(
            model_list=[deployment], num_retries=3, retry_after=0, disable_cooldowns=True
        )
        await router.acompletion(
            model="agent", messages=[HEAD, {"role": "user", "content": "Hello there, you!"}]
        )

    asyncio.run(go())
    assert [seen.status for seen in provider.seen] == [500, 429, 200]
    assert provider.seen[0].body == provider.seen[2].body
    (record,) = manager.threads()
    assert len(manager.thread(record.name)) == 3
    assert len(manager.thread(record.name).turns()) == 1


def test_keys_of_the_proxy_are_tenants(
    provider: FakeProvider, manager: ContextManager, hooks: ContextLogger
) -> None:
    async def go() -> None:
        for key in ("acme", "zenith"):
            provider.respond = saying(f"Hello, {key}.")
            asked = request(provider, [{"role": "user", "content": "Hello!"}])
            await litellm.acompletion(**asked, metadata={"user_api_key_hash": key})

    asyncio.run(go())
    for key in ("acme", "zenith"):
        (record,) = manager.threads(key)
        history = manager.thread(record.name, tenant=key).history()
        assert said(history)[-1][1] == f"Hello, {key}."
    kept = {id(each._known) for each in hooks._conversations.values()}
    assert len(kept) == 1, "what is kept at hand is bounded for all tenants together"


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("LiteLLM", provider, monkeypatch, tmp_path)
