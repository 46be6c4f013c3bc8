"""Cache points on LlamaIndex's messages, through its own Anthropic model to a provider that caches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of
from tests.adapters.scenario import check_cached, look_up, questions, weigh
from tests.adapters.test_examples import run_block, run_example
from tests.fakes.provider import FakeProvider

theirs: Any = pytest.importorskip("llama_index.llms.anthropic")

from llama_index.core.agent.workflow import FunctionAgent  # noqa: E402
from llama_index.core.base.llms.types import (  # noqa: E402
    CacheControl,
    CachePoint,
    ChatMessage,
    TextBlock,
)
from llama_index.core.memory import Memory  # noqa: E402
from llama_index.core.tools import FunctionTool  # noqa: E402

from contextkit.adapters.llama_index import wrap  # noqa: E402

MODEL = "claude-sonnet-4-5-20250929"
OWN = [
    TextBlock(text="Question #1 of many"),
    CachePoint(cache_control=CacheControl(type="ephemeral")),
]


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with manager_of({"kind": "anthropic", "model": MODEL, "api_key": "k"}) as made:
        yield made


def llm_of(provider: FakeProvider, manager: ContextManager) -> Any:
    model = theirs.Anthropic(
        model=MODEL, base_url=provider.origin, api_key="k", max_retries=0, max_tokens=RESERVE
    )
    return wrap(model, manager)


def test_what_was_sent_before_is_read_from_the_cache(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond, provider.window = agent, WINDOW
    tools: list[Any] = [FunctionTool.from_defaults(look_up), FunctionTool.from_defaults(weigh)]

    async def go() -> None:
        made = FunctionAgent(
            tools=tools,
            llm=llm_of(provider, manager),
            system_prompt="You are a careful researcher. " * 30,
            streaming=False,
        )
        memory = Memory.from_defaults(token_limit=1_000_000)
        for asked in questions(12):
            await made.run(asked, memory=memory)

    asyncio.run(go())
    check_cached(provider, manager)


def test_marks_of_the_users_own_are_left_to_him(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.respond, provider.window = agent, WINDOW
    llm_of(provider, manager).chat(
        [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", blocks=OWN)]
    )
    assert str(provider.seen[0].body).count("cache_control") == 1


def test_the_example(
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_example("llama_index_agent", provider, monkeypatch, tmp_path, capsys)


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("LlamaIndex", provider, monkeypatch, tmp_path)
