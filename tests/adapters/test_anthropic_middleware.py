"""The middleware of a real Anthropic client, against a strict local provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anthropic import Anthropic, APIStatusError, AsyncAnthropic, BadRequestError

import contextkit
from contextkit.adapters.anthropic_middleware import ContextMiddleware
from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of, question, result
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

MODEL = "claude-sonnet-5"
SYSTEM = "You are a careful researcher."
SCHEMA = {"type": "object", "properties": {"topic": {"type": "string"}, "how": {"type": "string"}}}
TOOLS: Any = [
    {"name": name, "description": f"To {name}", "input_schema": SCHEMA}
    for name in ("look_up", "weigh")
]
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with manager_of({"kind": "anthropic", "model": MODEL, "api_key": "k"}) as made:
        yield made


def client_of(
    provider: FakeProvider, manager: ContextManager, *, max_retries: int = 0, **options: Any
) -> Anthropic:
    middleware = ContextMiddleware(manager, **options)
    return Anthropic(
        base_url=provider.origin, api_key="k", max_retries=max_retries, middleware=[middleware]
    )


def request(history: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": RESERVE, "messages": history, **more}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def ask(client: Anthropic, asked: dict[str, Any]) -> Any:
    return client.messages.create(**asked)


def ask_raw(client: Anthropic, asked: dict[str, Any]) -> Any:
    return client.messages.with_raw_response.create(**asked).parse()


def ask_helper(client: Anthropic, asked: dict[str, Any]) -> Any:
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


def answers(message: Any) -> list[dict[str, Any]]:
    results = [
        {"type": "tool_result", "tool_use_id": b.id, "content": result(b.name, str(b.input))}
        for b in message.content
        if b.type == "tool_use"
    ]
    return [user(results)] if results else []


def check(provider: FakeProvider, manager: ContextManager, name: str) -> None:
    """No request refused, and the recorded usage is the provider's own."""
    assert not provider.refused
    used = [s.usage for s in provider.seen if s.status == 200]
    recorded = [ledger.usage for ledger in manager.thread(name).turns()]
    told = [
        (
            u["input_tokens"] + u["cache_read_input_tokens"] + u["cache_creation_input_tokens"],
            u["output_tokens"],
        )
        for u in used
    ]
    assert [(u.input_tokens, u.output_tokens) for u in recorded if u] == told
    assert not manager.verify()


@pytest.mark.parametrize(
    ("asking", "n_turns"),
    [
        (ask, 25),
        (ask_raw, 3),
        (ask_helper, 6),
        pytest.param(ask, 200, marks=pytest.mark.slow),
    ],
    ids=["create", "raw", "stream", "long"],
)
def test_a_loop_with_tools(
    provider: FakeProvider, manager: ContextManager, asking: Any, n_turns: int
) -> None:
    provider.respond = agent
    provider.window = WINDOW
    history: list[Any] = []
    with client_of(provider, manager, thread="t") as client:
        for number in range(n_turns):
            history.append(user(question(number)))
            while True:
                message = asking(client, request(history, tools=TOOLS, system=SYSTEM))
                assert question(number) in str(provider.seen[-1].body["messages"])
                history.append({"role": "assistant", "content": message.content})
                results = answers(message)
                if not results:
                    break
                history += results
    check(provider, manager, "t")
    assert len(manager.thread("t").turns()) == 2 * n_turns
    assert len(manager.threads()) == 1


@pytest.mark.parametrize("failure", [Failure(529), Failure(500), Failure(drop=True)])
def test_a_retried_request_is_sent_again_and_kept_once(
    provider: FakeProvider, manager: ContextManager, failure: Failure
) -> None:
    provider.failures = [failure]
    with client_of(provider, manager, max_retries=2, thread="t") as client:
        ask(client, request([user("Hello?")]))
    first, second = provider.seen
    assert first.body == second.body
    assert len(manager.thread("t")) == 2
    assert len(manager.thread("t").turns()) == 1


def test_nothing_is_recorded_after_an_error(
    provider: FakeProvider, manager: ContextManager
) -> None:
    provider.failures = [Failure(500)]
    with client_of(provider, manager, thread="t") as client:
        with pytest.raises(APIStatusError):
            ask(client, request([user("Hello?")]))
        assert len(manager.thread("t")) == 0


def test_a_request_too_long_is_made_smaller_once(provider: FakeProvider) -> None:
    manager = contextkit.load(
        {
            "backend": {"kind": "echo", "model": MODEL, "provider": "anthropic"},
            "budget": {"window": 16_000, "reply_reserve": 200},
            "policies": ["sliding_window"],
        }
    )
    history: list[Any] = []
    for number in range(30):
        history.append(user(f"Tell me about place {number}, please."))
        history.append({"role": "assistant", "content": "It lies by the sea with a harbour. " * 6})
    asked = {**request([*history, user("Which gate?")]), "max_tokens": 200}
    provider.window = 2_100
    with client_of(provider, manager, thread="t") as client:
        ask(client, asked)
        assert [seen.status for seen in provider.seen] == [400, 200]
        assert len(provider.seen[1].body["messages"]) < len(provider.seen[0].body["messages"])
    assert len(manager.thread("t")) == len(history) + 2
    provider.window = 240
    with (
        client_of(provider, manager, thread="again") as client,
        pytest.raises(BadRequestError, match="too long"),
    ):
        ask(client, {**asked, "max_tokens": 20})
    assert len(manager.thread("again")) == 0


def test_images_and_thinking_go_through(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = lambda _: Answer("", (("look_up", {"topic": "a"}),), reasoning="Hm.")
    history: list[Any] = [user([{"type": "text", "text": "What is it?"}, IMAGE])]
    with client_of(provider, manager, thread="t") as client:
        made = ask(client, request(history, tools=TOOLS))
        provider.respond = lambda _: Answer("A picture.")
        kept = [block for block in made.content if block.type != "thinking"]
        history += [{"role": "assistant", "content": kept}, *answers(made)]
        ask(client, request(history, tools=TOOLS))
    sent = provider.seen[-1].body["messages"]
    assert sent[0]["content"][1]["source"] == IMAGE["source"]
    assert sent[1]["content"][0]["type"] == "thinking"
    check(provider, manager, "t")


def test_a_stream_left_early_leaves_the_thread(
    provider: FakeProvider, manager: ContextManager
) -> None:
    with client_of(provider, manager, thread="t") as client:
        with client.messages.stream(**request([user("Hello there, you!")])) as stream:
            next(iter(stream.text_stream))
        assert len(manager.thread("t")) == 0
        for event in client.messages.create(**request([user("Hello there, you!")]), stream=True):
            assert event.type
    assert len(manager.thread("t")) == 2


def test_async(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = agent
    provider.failures = [Failure(529)]

    async def go() -> None:
        history: list[Any] = []
        middleware = ContextMiddleware(manager, thread="t")
        async with AsyncAnthropic(
            base_url=provider.origin, api_key="k", max_retries=1, middleware=[middleware]
        ) as client:
            for number in range(4):
                history.append(user(question(number)))
                while True:
                    asked = request(history, tools=TOOLS)
                    if number % 2:
                        async with client.messages.stream(**asked) as stream:
                            made: Any = await stream.get_final_message()
                    else:
                        made = await client.messages.create(**asked)
                    history.append({"role": "assistant", "content": made.content})
                    results = answers(made)
                    if not results:
                        break
                    history += results

    anyio.run(go)
    check(provider, manager, "t")
    assert len(manager.thread("t").turns()) == 8


def test_other_requests_are_untouched(provider: FakeProvider, manager: ContextManager) -> None:
    with client_of(provider, manager) as client:
        said: Any = [user("Hi")]
        assert client.messages.count_tokens(model=MODEL, messages=said).input_tokens > 0
        with client.messages.with_streaming_response.create(
            **request([user("Hi")]), stream=True
        ) as response:
            assert "event: message_stop" in response.read().decode()
    assert manager.threads() == []
