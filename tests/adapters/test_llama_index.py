"""LlamaIndex agents over a wrapped model, and over a thread as memory, against a strict local provider."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

pytest.importorskip("llama_index.core", reason='needs pip install "contextkit[llama-index]"')

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import ChatMemoryBuffer
from openai import InternalServerError

from contextkit.adapters.llama_index import ContextMemory, wrap
from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters.llama_model import LocalLLM
from tests.adapters.managers import WINDOW, question
from tests.adapters.scenario import (
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
from tests.fakes.answers import Failure, saying
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")


def llm_of(provider: FakeProvider, manager: ContextManager) -> LocalLLM:
    return wrap(LocalLLM(base_url=provider.openai_url), manager)


async def run(llm: LLM, memory: Any, n_turns: int, streaming: bool) -> None:
    agent = FunctionAgent(
        tools=[look_up, weigh],
        llm=llm,
        system_prompt=SYSTEM,
        streaming=streaming,
        allow_parallel_tool_calls=True,
    )
    for asked in questions(n_turns):
        found = await agent.run(user_msg=asked, memory=memory)
        assert "all is well" in str(found)


def everything() -> ChatMemoryBuffer:
    """A memory that leaves nothing out."""
    return ChatMemoryBuffer(token_limit=10**9, tokenizer_fn=str.split)


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent(provider: FakeProvider, manager: ContextManager, streaming: bool) -> None:
    n_turns = 8 if streaming else QUICK
    anyio.run(run, llm_of(ready(provider), manager), everything(), n_turns, streaming)
    check(provider, manager, n_turns)


@pytest.mark.slow
def test_an_agent_for_200_turns(provider: FakeProvider, manager: ContextManager) -> None:
    anyio.run(run, llm_of(ready(provider), manager), everything(), SLOW, False)
    check(provider, manager, SLOW)


def in_memory(provider: FakeProvider, n_turns: int) -> None:
    """With a third of the window left for what a memory does not see."""
    ready(provider)
    with made() as base:
        budget = {"window": WINDOW, "reply_reserve": WINDOW // 3}
        manager = ContextManager(base.backend, budget=budget)
        memory = ContextMemory.of(manager.thread("support/42"))
        anyio.run(run, LocalLLM(base_url=provider.openai_url), memory, n_turns, False)
        assert [s.status for s in provider.seen] == [200] * 2 * n_turns
        for index, seen in enumerate(provider.seen):
            texts = json.dumps(seen.body["messages"])
            assert json.dumps(question(index // 2))[1:-1].rstrip() in texts
        turns = manager.thread("support/42").turns()
        assert len(turns) >= n_turns
        assert any(list(turn.left_out) for turn in turns)
        asked = [m for m in memory.get_all() if m.role is MessageRole.USER]
        assert [m.content for m in asked] == list(questions(n_turns))
        assert manager.verify() == []


def test_a_memory(provider: FakeProvider) -> None:
    in_memory(provider, 12)


@pytest.mark.slow
def test_a_memory_for_200_turns(provider: FakeProvider) -> None:
    in_memory(provider, SLOW)


def test_a_memory_gives_back_what_was_put(manager: ContextManager) -> None:
    said = [
        ChatMessage(
            role="user", blocks=[TextBlock(text="Look."), ImageBlock(image=b"\x89PNG\r\n")]
        ),
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="Hm.", additional_information={"signature": "sig=="}),
                TextBlock(text="A gate."),
            ],
            additional_kwargs={"mine": {"deep": 1}},
        ),
        ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFF", format="wav")]),
        ChatMessage(
            role="assistant",
            blocks=[ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"a": 1})],
        ),
        ChatMessage("Found.", role="tool", additional_kwargs={"tool_call_id": "1"}),
    ]
    memory = ContextMemory.of(manager.thread("t"))
    assert memory.get() == []
    memory.put_messages(said)
    assert memory.get_all() == said
    assert memory.get() == said
    again = ContextMemory.from_defaults(thread=manager.thread("t"))
    assert again.get_all() == said
    changed = [said[0], ChatMessage("A door.", role="assistant")]
    again.set(changed)
    assert again.get_all() == changed
    assert memory.get_all() == said
    again.reset()
    assert again.get_all() == []
    assert manager.verify() == []


def test_plain_chat_in_every_way(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = saying("It is gate twelve.")
    llm = llm_of(provider, manager)
    assert isinstance(llm, LLM)
    said = [ChatMessage(SYSTEM, role="system"), ChatMessage("Which gate?")]

    async def asynchronous() -> list[str | None]:
        whole = await llm.achat(said)
        streamed = [part async for part in await llm.astream_chat(said)]
        return [whole.message.content, streamed[-1].message.content]

    answers = [llm.chat(said).message.content, [*llm.stream_chat(said)][-1].message.content]
    answers += anyio.run(asynchronous)
    assert answers == ["It is gate twelve."] * 4
    assert len({json.dumps(seen.body["messages"]) for seen in provider.seen}) == 1
    assert manager.verify() == []


def test_a_failed_call_leaves_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    provider.failures = [Failure(500)]
    llm = llm_of(provider, manager)
    said = [ChatMessage("Which gate?")]
    with pytest.raises(InternalServerError):
        llm.chat(said)
    assert not [r for r in manager.threads() if len(manager.thread(r.name))]
    llm.chat(said)
    (turn,) = ledgers(manager)
    assert turn.usage is not None
    assert turn.usage.input_tokens == provider.seen[-1].usage["prompt_tokens"]
    with pytest.raises(BudgetExceeded):
        llm.chat([ChatMessage("word " * 9000)])


@pytest.mark.parametrize("way", ["chat", "stream", "achat", "astream"])
def test_too_long_for_the_provider(
    provider: FakeProvider, manager: ContextManager, way: str
) -> None:
    provider.respond, provider.window = saying("It is gate twelve."), 2000
    llm = llm_of(provider, manager)
    said: list[ChatMessage] = []
    for number in range(20):
        said.append(ChatMessage(f"Place {number}? " * 9))
        said.append(ChatMessage("By the sea. " * 20, role="assistant"))
    said.append(ChatMessage("Which gate?"))

    async def asynchronous() -> None:
        if way == "achat":
            await llm.achat(said)
        else:
            assert [part async for part in await llm.astream_chat(said)]

    if way == "chat":
        llm.chat(said)
    elif way == "stream":
        assert list(llm.stream_chat(said))
    else:
        anyio.run(asynchronous)
    assert [s.status for s in provider.seen] == [400, 200]
    assert provider.seen[1].body["messages"][-1]["content"] == "Which gate?"
