"""Chat loops written for the Anthropic SDK, wrapped, against a strict local provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anthropic import Anthropic, APIError, AsyncAnthropic

from contextkit.adapters.anthropic import wrap
from contextkit.dialects import parse_messages
from contextkit.manager import ContextManager
from contextkit.messages import ReasoningPart
from contextkit.replies import plain
from tests.adapters.managers import RESERVE, agent, manager_of, question, result, said
from tests.fakes.answers import Answer, Failure, saying
from tests.fakes.provider import FakeProvider

MODEL = "claude-sonnet-5"
SYSTEM = "You are a careful researcher."
SCHEMA = {"type": "object", "properties": {"topic": {"type": "string"}, "how": {"type": "string"}}}
TOOLS: Any = [
    {"name": name, "description": f"To {name}", "input_schema": SCHEMA}
    for name in ("look_up", "weigh")
]


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with manager_of({"kind": "anthropic", "model": MODEL, "api_key": "k"}) as made:
        yield made


@pytest.fixture
def raw(provider: FakeProvider) -> Iterator[Anthropic]:
    with Anthropic(base_url=provider.origin, api_key="k", max_retries=0) as made:
        yield made


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def request(history: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": RESERVE, "messages": history, **more}


def ask(client: Anthropic, history: list[Any], **more: Any) -> Any:
    return client.messages.create(**request(history, **more))


def ask_helper(client: Anthropic, history: list[Any], **more: Any) -> Any:
    with client.messages.stream(**request(history, **more)) as stream:
        return stream.get_final_message()


def ask_beta(client: Anthropic, history: list[Any], **more: Any) -> Any:
    return client.beta.messages.create(**request(history, **more))


def answer_calls(message: Any) -> list[dict[str, Any]]:
    """The user's message that answers all calls at once, where there are any."""
    results = [
        {
            "type": "tool_result",
            "tool_use_id": block.id,
            "content": result(block.name, str(block.input)),
        }
        for block in message.content
        if block.type == "tool_use"
    ]
    return [user(results)] if results else []


@pytest.mark.parametrize(
    ("asking", "n_turns"),
    [(ask, 60), (ask_helper, 12), (ask_beta, 4)],
    ids=["create", "stream", "beta"],
)
def test_a_users_loop_runs_many_turns_with_tools(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic, asking: Any, n_turns: int
) -> None:
    provider.respond = agent
    provider.window = 4096
    client = wrap(raw, manager, thread="research")
    history: list[Any] = []
    for number in range(n_turns):
        history.append(user(question(number)))
        while True:
            message = asking(client, history, tools=TOOLS, system=SYSTEM)
            body = provider.seen[-1].body
            assert question(number) in str(body["messages"])
            assert [block["text"] for block in body["system"]] == [SYSTEM]
            history.append({"role": "assistant", "content": message.content})
            results = answer_calls(message)
            if not results:
                break
            history += results
    assert not provider.refused
    thread = manager.thread("research")
    system = {"role": "system", "content": SYSTEM}
    assert said(thread.history()) == said(parse_messages(plain([system, *history])))
    assert len(manager.threads()) == 1
    assert len(thread.turns()) == len(provider.seen) == 2 * n_turns
    if n_turns > 20:
        assert any(seen.usage["cache_read_input_tokens"] for seen in provider.seen)
        assert len(str(provider.seen[-1].body)) < len(str(history)) / 2


def test_marks_of_the_user_never_add_up(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic
) -> None:
    """Loops mark the newest message of each request; the log remembers every mark."""
    client = wrap(raw, manager)
    mark = {"cache_control": {"type": "ephemeral"}}
    history: list[Any] = []
    for number in range(12):
        history.append(user([{"type": "text", "text": f"Number {number}?", **mark}]))
        system: Any = [{"type": "text", "text": SYSTEM, **mark}]
        made = ask(client, history, system=system, cache_control={"type": "ephemeral"})
        history[-1] = user(f"Number {number}?")
        history.append({"role": "assistant", "content": made.content})
    assert not provider.refused
    assert len(manager.threads()) == 1


def test_thinking_goes_back_signed_even_where_the_loop_dropped_it(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic
) -> None:
    provider.respond = lambda _: Answer(
        "", (("look_up", {"topic": "a"}),), reasoning="Let me think."
    )
    client = wrap(raw, manager, thread="t")
    history = [user("What?")]
    made = ask(client, history, tools=TOOLS)
    kept = [block for block in made.content if block.type != "thinking"]
    provider.respond = lambda _: Answer("That.")
    history += [{"role": "assistant", "content": kept}, *answer_calls(made)]
    ask(client, history, tools=TOOLS)
    assert not provider.refused
    assert len(manager.threads()) == 1
    first, *_ = manager.thread("t").history()[1].parts
    assert isinstance(first, ReasoningPart)
    assert first.signature


def test_another_system_prompt_is_another_conversation(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic
) -> None:
    client = wrap(raw, manager)
    for system in ("Be brief.", "Be thorough."):
        ask(client, [user("Hello!")], system=system)
        assert [block["text"] for block in provider.seen[-1].body["system"]] == [system]
    assert len(manager.threads()) == 2


@pytest.mark.parametrize("asking", [ask, ask_helper])
@pytest.mark.parametrize("failure", [Failure(529), Failure(500)])
def test_nothing_is_recorded_on_failure_and_a_retry_sends_the_same(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic, asking: Any, failure: Failure
) -> None:
    client = wrap(raw, manager, thread="t")
    provider.failures = [failure]
    with pytest.raises(APIError):
        asking(client, [user("Hello?")])
    assert len(manager.thread("t")) == 0
    asking(client, [user("Hello?")])
    assert provider.seen[0].body == provider.seen[1].body
    assert len(manager.thread("t")) == 2


@pytest.mark.parametrize("way", ["raw events", "events", "texts", "final text", "early"])
def test_streams(provider: FakeProvider, manager: ContextManager, raw: Anthropic, way: str) -> None:
    client = wrap(raw, manager, thread="t")
    asked = request([user("Hello there, you!")])
    told = "You said: Hello there, you!"
    if way == "raw events":
        events = list(client.messages.create(**asked, stream=True))
        assert events[-1].type == "message_stop"
    else:
        with client.messages.stream(**asked) as stream:
            if way == "events":
                assert "".join(e.text for e in stream if e.type == "text") == told
            elif way == "texts":
                assert "".join(stream.text_stream) == told
            elif way == "final text":
                assert stream.get_final_text() == told
            else:
                next(iter(stream.text_stream))
    assert len(manager.thread("t")) == (0 if way == "early" else 2)


def test_all_else_is_untouched(
    provider: FakeProvider, manager: ContextManager, raw: Anthropic
) -> None:
    client = wrap(raw, manager)
    assert isinstance(client, Anthropic)
    assert client.models is raw.models
    ask(client, [user("Hi")], stop_sequences=["x"], metadata={"user_id": "u"})
    assert provider.seen[0].body["stop_sequences"] == ["x"]
    assert provider.seen[0].body.keys() == {
        "model",
        "max_tokens",
        "messages",
        "stop_sequences",
        "metadata",
    }


def test_tenants_are_apart(provider: FakeProvider, manager: ContextManager, raw: Anthropic) -> None:
    for tenant in ("acme", "zenith"):
        provider.respond = saying(f"Hello, {tenant}.")
        ask(wrap(raw, manager, tenant=tenant), [user("Hello!")])
        (record,) = manager.threads(tenant)
        assert tenant in manager.thread(record.name, tenant=tenant).history()[-1].text


def test_async(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = agent

    async def go() -> list[Any]:
        history: list[Any] = []
        async with AsyncAnthropic(base_url=provider.origin, api_key="k", max_retries=0) as raw:
            client = wrap(raw, manager, thread="t")
            assert isinstance(client, AsyncAnthropic)
            for number in range(8):
                history.append(user(question(number)))
                while True:
                    asked = request(history, tools=TOOLS)
                    if number % 3 == 0:
                        made = await client.messages.create(**asked)
                    else:
                        async with client.messages.stream(**asked) as stream:
                            texts = [text async for text in stream.text_stream]
                            made = await stream.get_final_message()
                        assert "".join(texts) == "".join(
                            b.text for b in made.content if b.type == "text"
                        )
                    history.append({"role": "assistant", "content": made.content})
                    results = answer_calls(made)
                    if not results:
                        break
                    history += results
            asked = request([*history, user(question(9))], stream=True, tools=TOOLS)
            async for _ in await client.messages.create(**asked):
                pass
        return history

    history = anyio.run(go)
    assert not provider.refused
    recorded = manager.thread("t").history()
    assert said(recorded[:-2]) == said(parse_messages(plain(history)))
    assert recorded[-1].tool_calls
