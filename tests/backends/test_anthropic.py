"""The Anthropic backend against a strict local provider, through the real SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from contextkit.backend import Reply
from contextkit.call import CachePoint, Call
from contextkit.errors import (
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    RateLimited,
    RequestRefused,
)
from contextkit.messages import ReasoningPart
from contextkit_backends.anthropic import AnthropicBackend
from tests.backends.calls import WEATHER, call_of
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

KEY = "sk-ant-very-secret-key"


@pytest.fixture
def backend(provider: FakeProvider) -> Iterator[AnthropicBackend]:
    with make(provider) as made:
        yield made


def make(provider: FakeProvider, **fields: Any) -> AnthropicBackend:
    settings = {
        "model": "claude-sonnet-5",
        "base_url": provider.origin,
        "api_key": KEY,
        "max_retries": 0,
    }
    return AnthropicBackend(**{**settings, **fields})


def ask(backend: AnthropicBackend, call: Call, streamed: bool) -> Reply:
    if not streamed:
        return backend.complete(call)
    reply = list(backend.stream(call))[-1].reply
    assert reply is not None
    return reply


def test_complete(provider: FakeProvider, backend: AnthropicBackend) -> None:
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which gate?"}]
    reply = backend.complete(call_of(asked))
    assert reply.text == "You said: Which gate?"
    assert reply.finish_reason == "end_turn"
    body = provider.seen[0].body
    assert body["max_tokens"] == 256
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert body.keys() == {"model", "max_tokens", "system", "messages"}


def test_stream_hands_on_the_text_and_then_the_whole_reply(
    provider: FakeProvider, backend: AnthropicBackend
) -> None:
    *chunks, last = backend.stream(call_of("Which gate?"))
    assert len(chunks) > 2
    assert "".join(chunk.text for chunk in chunks) == "You said: Which gate?"
    assert last.reply is not None
    whole = backend.complete(call_of("Which gate?"))
    assert (last.reply.message, last.reply.usage) == (whole.message, whole.usage)


def test_usage_includes_what_the_cache_read_and_wrote(
    provider: FakeProvider, backend: AnthropicBackend
) -> None:
    messages = [{"role": "system", "content": "word " * 2000}, {"role": "user", "content": "Hi"}]
    call = call_of(messages, points=(CachePoint(1),))
    first, second = backend.complete(call).usage, backend.complete(call).usage
    streamed = ask(backend, call, True).usage
    assert first is not None
    assert second is not None
    assert first.cache_write_tokens > 1024
    assert first.cache_read_tokens == second.cache_write_tokens == 0
    assert second.cache_read_tokens == first.cache_write_tokens
    assert first.input_tokens == second.input_tokens > first.cache_write_tokens
    assert streamed == second
    assert provider.seen[0].body["system"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_and_tool_calls_go_there_and_back(
    provider: FakeProvider, backend: AnthropicBackend, streamed: bool
) -> None:
    provider.respond = lambda _: Answer(
        "Let me look.", (("weather", {"city": "Oslo, Norway"}),), reasoning="Where is that?"
    )
    call = call_of("Weather?", tools=(WEATHER,))
    reply = ask(backend, call, streamed)
    assert reply.message.tool_calls[0].arguments == '{"city": "Oslo, Norway"}'
    assert isinstance(reply.message.parts[0], ReasoningPart)
    assert reply.message.parts[0].signature
    provider.respond = lambda _: Answer("Rain.")
    result = {"role": "tool", "tool_call_id": reply.message.tool_calls[0].id, "content": "rain"}
    after = call_of([*call.messages, reply.message, result], tools=(WEATHER,))
    assert ask(backend, after, streamed).text == "Rain."
    assert provider.seen[-1].body["messages"][1]["content"][0]["type"] == "thinking"


def test_complete_many_keeps_the_order(provider: FakeProvider, backend: AnthropicBackend) -> None:
    replies = backend.complete_many([call_of(f"Number {n}") for n in range(20)])
    assert [r.text for r in replies] == [f"You said: Number {n}" for n in range(20)]


def test_extra_body_reaches_the_request(provider: FakeProvider) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2048}
    with make(provider, extra_body={"thinking": thinking}, temperature=1.0) as backend:
        backend.complete(call_of("Hi"))
    assert provider.seen[0].body["thinking"] == thinking
    assert provider.seen[0].body["temperature"] == 1.0


@pytest.mark.parametrize("max_output_tokens", [8, 45])
def test_overflow(
    provider: FakeProvider, backend: AnthropicBackend, max_output_tokens: int
) -> None:
    provider.window = 50
    text = "word " * (200 if max_output_tokens == 8 else 20)
    with pytest.raises(ContextOverflow, match="claude-sonnet-5 at http") as caught:
        backend.complete(call_of(text, max_output_tokens=max_output_tokens))
    assert caught.value.actual_tokens is not None
    assert caught.value.actual_tokens >= len(text.split())


def test_rate_limit(provider: FakeProvider, backend: AnthropicBackend) -> None:
    provider.failures = [Failure(429, headers={"retry-after": "3"})]
    with pytest.raises(RateLimited) as caught:
        backend.complete(call_of("Hi"))
    assert caught.value.retry_after_s == 3


@pytest.mark.parametrize(
    "failure",
    [Failure(500), Failure(529), Failure(drop=True)],
    ids=["500", "overloaded", "dropped"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_no_answer(
    provider: FakeProvider, backend: AnthropicBackend, failure: Failure, streamed: bool
) -> None:
    provider.failures = [failure]
    with pytest.raises(BackendUnavailable):
        ask(backend, call_of("Hi"), streamed)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(cut_after=0),
        Failure(cut_after=4),
        Failure(in_stream=True, kind="overloaded_error"),
    ],
    ids=["empty", "middle", "error event"],
)
def test_cut_stream(provider: FakeProvider, backend: AnthropicBackend, failure: Failure) -> None:
    provider.failures = [failure]
    with pytest.raises(BackendUnavailable):
        list(backend.stream(call_of("Which gate?")))


def test_a_limit_inside_a_stream(provider: FakeProvider, backend: AnthropicBackend) -> None:
    provider.failures = [Failure(in_stream=True, kind="rate_limit_error")]
    with pytest.raises(RateLimited):
        list(backend.stream(call_of("Which gate?")))


def test_time_out(provider: FakeProvider) -> None:
    provider.failures = [Failure(hang=True)]
    with (
        make(provider, timeout_s=0.2) as backend,
        pytest.raises(BackendUnavailable, match="timeout_s"),
    ):
        backend.complete(call_of("Hi"))


def test_a_reader_that_stops_early_closes_the_connection(
    provider: FakeProvider, backend: AnthropicBackend
) -> None:
    provider.chunk_delay_s = 0.05
    provider.respond = lambda _: Answer("word " * 200)
    chunks = backend.stream(call_of("Hi"))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert provider.wait_until_gone()


@pytest.mark.parametrize("status", [401, 404, 413])
def test_other_refusals(provider: FakeProvider, backend: AnthropicBackend, status: int) -> None:
    provider.failures = [Failure(status, f"No: {KEY}")]
    with pytest.raises(RequestRefused, match=f"status {status}") as caught:
        backend.complete(call_of("Hi"))
    assert KEY not in str(caught.value)


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RequestRefused, match="ANTHROPIC_API_KEY"):
        AnthropicBackend(model="claude-sonnet-5").complete(call_of("Hi"))


def test_a_missing_sdk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(ConfigError, match=r'pip install "contextkit\[anthropic\]"'):
        AnthropicBackend(model="claude-sonnet-5").complete(call_of("Hi"))


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-opus-4-6", 1_000_000),
        ("claude-haiku-5-5", 1_000_000),
        ("anthropic/claude-3-haiku", 200_000),
        ("other", None),
    ],
)
def test_known_windows(model: str, window: int | None) -> None:
    capabilities = AnthropicBackend(model=model).capabilities
    assert capabilities.context_window == window
    assert capabilities.dialect == capabilities.provider == "anthropic"
