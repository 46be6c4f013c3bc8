"""The OpenAI backend against a strict local provider, through the real SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from contextkit.errors import (
    BackendUnavailable,
    ConfigError,
    ContextOverflow,
    RateLimited,
    RequestRefused,
)
from contextkit.messages import ReasoningPart
from contextkit_backends.openai import OpenAIBackend
from tests.backends.calls import WEATHER, call_of
from tests.fakes.answers import Answer, Failure
from tests.fakes.provider import FakeProvider

APIS = ("chat", "responses")
KEY = "sk-very-secret-key"


@pytest.fixture
def backend(provider: FakeProvider) -> Iterator[OpenAIBackend]:
    with make(provider) as made:
        yield made


@pytest.fixture(params=APIS)
def either(provider: FakeProvider, request: pytest.FixtureRequest) -> Iterator[OpenAIBackend]:
    with make(provider, api=request.param) as made:
        yield made


def make(provider: FakeProvider, **fields: Any) -> OpenAIBackend:
    settings = {
        "model": "gpt-4o",
        "base_url": provider.openai_url,
        "api_key": KEY,
        "max_retries": 0,
    }
    return OpenAIBackend(**{**settings, **fields})


def test_complete(provider: FakeProvider, either: OpenAIBackend) -> None:
    reply = either.complete(call_of("Which gate?"))
    assert reply.text == "You said: Which gate?"
    assert reply.usage is not None
    assert reply.usage.output_tokens > 0
    assert reply.finish_reason in ("stop", "completed")
    body = provider.seen[0].body
    assert body.get("max_completion_tokens", body.get("max_output_tokens")) == 256
    assert "tools" not in body
    assert "temperature" not in body


def test_cached_tokens_are_part_of_the_input(provider: FakeProvider, either: OpenAIBackend) -> None:
    call = call_of(
        [{"role": "system", "content": "word " * 2000}, {"role": "user", "content": "Hi"}]
    )
    first, second = either.complete(call).usage, either.complete(call).usage
    assert first is not None
    assert second is not None
    assert first.cache_read_tokens == 0
    assert 1024 <= second.cache_read_tokens <= second.input_tokens == first.input_tokens


def test_stream_hands_on_the_text_and_then_the_whole_reply(
    provider: FakeProvider, either: OpenAIBackend
) -> None:
    *chunks, last = either.stream(call_of("Which gate?"))
    assert len(chunks) > 2
    assert "".join(chunk.text for chunk in chunks) == "You said: Which gate?"
    assert all(chunk.reply is None for chunk in chunks)
    assert last.reply is not None
    assert last.reply.text == "You said: Which gate?"
    assert last.reply.usage == either.complete(call_of("Which gate?")).usage


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls_go_there_and_back(
    provider: FakeProvider, either: OpenAIBackend, streamed: bool
) -> None:
    provider.respond = lambda _: Answer(
        "Let me look.", (("weather", {"city": "Oslo"}), ("weather", {"city": "Bergen, the rainy"}))
    )
    asked = [{"role": "user", "content": "Weather?"}]
    call = call_of(asked, tools=(WEATHER,))
    reply = list(either.stream(call))[-1].reply if streamed else either.complete(call)
    assert reply is not None
    assert [c.arguments for c in reply.message.tool_calls] == [
        '{"city": "Oslo"}',
        '{"city": "Bergen, the rainy"}',
    ]
    assert len({c.id for c in reply.message.tool_calls}) == 2
    provider.respond = lambda _: Answer("Rain.")
    results = [
        {"role": "tool", "tool_call_id": c.id, "content": "rain"} for c in reply.message.tool_calls
    ]
    after = call_of([*call.messages, reply.message, *results], tools=(WEATHER,))
    assert either.complete(after).text == "Rain."


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_content_is_kept(
    provider: FakeProvider, backend: OpenAIBackend, streamed: bool
) -> None:
    provider.respond = lambda _: Answer("42", reasoning="Six times seven.")
    call = call_of("What is it?")
    reply = list(backend.stream(call))[-1].reply if streamed else backend.complete(call)
    assert reply is not None
    thought = [p for p in reply.message.parts if isinstance(p, ReasoningPart)]
    assert [p.text for p in thought] == ["Six times seven."]
    assert reply.text == "42"
    assert reply.usage is not None
    assert reply.usage.reasoning_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_sealed_reasoning_of_responses_goes_back(provider: FakeProvider, streamed: bool) -> None:
    provider.respond = lambda _: Answer(calls=(("weather", {"city": "Oslo"}),), reasoning="Hm.")
    with make(provider, api="responses") as backend:
        call = call_of("Weather?", tools=(WEATHER,))
        reply = list(backend.stream(call))[-1].reply if streamed else backend.complete(call)
        assert reply is not None
        result = {
            "role": "tool",
            "tool_call_id": reply.message.tool_calls[0].id,
            "content": "rain",
        }
        backend.complete(call_of([*call.messages, reply.message, result], tools=(WEATHER,)))
    items = provider.seen[-1].body["input"]
    assert [i.get("type", "message") for i in items] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
    ]
    assert items[1]["encrypted_content"] == "sealed:Hm."


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_text_of_the_reply(
    provider: FakeProvider, backend: OpenAIBackend, streamed: bool
) -> None:
    provider.respond = lambda _: Answer(refusal="I would rather not.")
    call = call_of("Do it.")
    reply = list(backend.stream(call))[-1].reply if streamed else backend.complete(call)
    assert reply is not None
    assert reply.text == "I would rather not."


def test_complete_many_keeps_the_order(provider: FakeProvider, either: OpenAIBackend) -> None:
    replies = either.complete_many([call_of(f"Number {n}") for n in range(20)])
    assert [r.text for r in replies] == [f"You said: Number {n}" for n in range(20)]
    assert either.complete_many([]) == []


def test_complete_many_raises_the_first_error(provider: FakeProvider) -> None:
    provider.failures = [Failure(500)]
    with make(provider, max_concurrency=1) as backend, pytest.raises(BackendUnavailable):
        backend.complete_many([call_of(f"Number {n}") for n in range(8)])
    assert len(provider.seen) < 8


def test_stream_options_are_left_out_where_the_server_refuses_them(
    provider: FakeProvider, backend: OpenAIBackend
) -> None:
    provider.refused_fields = {"stream_options"}
    for _ in range(2):
        reply = list(backend.stream(call_of("Hi")))[-1].reply
        assert reply is not None
        assert reply.text == "You said: Hi"
        assert reply.usage is None
    assert [seen.status for seen in provider.seen] == [400, 200, 200]


def test_settings_reach_the_request(provider: FakeProvider) -> None:
    extra = {"seed": 7}
    fields = {"max_tokens_field": "max_tokens", "temperature": 0.5, "extra_body": extra}
    with make(provider, **fields) as backend:
        backend.complete(call_of("Hi"))
    body = provider.seen[0].body
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (256, 0.5, 7)
    assert "max_completion_tokens" not in body


# -- errors ----------------------------------------------------------------------------------------


def test_overflow_names_the_providers_count(provider: FakeProvider, backend: OpenAIBackend) -> None:
    provider.window = 50
    with pytest.raises(ContextOverflow, match=r"gpt-4o at http.*maximum context length") as caught:
        backend.complete(call_of("word " * 200, max_output_tokens=8))
    assert caught.value.actual_tokens is not None
    assert caught.value.actual_tokens > 200


def test_overflow_of_responses_has_no_count(provider: FakeProvider) -> None:
    provider.window = 50
    with make(provider, api="responses") as backend, pytest.raises(ContextOverflow) as caught:
        list(backend.stream(call_of("word " * 200)))
    assert caught.value.actual_tokens is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "2.5"}, 2.5), ({"retry-after-ms": "300"}, 0.3), ({}, None)],
)
def test_rate_limit_says_when_to_come_back(
    provider: FakeProvider, backend: OpenAIBackend, headers: dict[str, str], wait: float | None
) -> None:
    provider.failures = [Failure(429, headers=headers)]
    with pytest.raises(RateLimited, match="gpt-4o at http") as caught:
        backend.complete(call_of("Hi"))
    assert caught.value.retry_after_s == wait


def test_an_empty_account_is_refused_not_limited(
    provider: FakeProvider, backend: OpenAIBackend
) -> None:
    provider.failures = [Failure(429, "You exceeded your current quota", code="insufficient_quota")]
    with pytest.raises(RequestRefused, match="Waiting does not help"):
        backend.complete(call_of("Hi"))


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_other_refusals(provider: FakeProvider, backend: OpenAIBackend, status: int) -> None:
    provider.failures = [Failure(status, f"No: key {KEY} is wrong")]
    with pytest.raises(RequestRefused, match=f"status {status}") as caught:
        backend.complete(call_of("Hi"))
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    "failure", [Failure(500), Failure(503), Failure(drop=True)], ids=["500", "503", "dropped"]
)
def test_no_answer(provider: FakeProvider, either: OpenAIBackend, failure: Failure) -> None:
    provider.failures = [failure]
    with pytest.raises(BackendUnavailable, match="may be sent again"):
        either.complete(call_of("Hi"))


def test_time_out(provider: FakeProvider) -> None:
    provider.failures = [Failure(hang=True)]
    with (
        make(provider, timeout_s=0.2) as backend,
        pytest.raises(BackendUnavailable, match="timeout_s"),
    ):
        backend.complete(call_of("Hi"))


def test_dead_server() -> None:
    with (
        OpenAIBackend(
            model="m", base_url="http://user:pw@127.0.0.1:9/v1", api_key=KEY, max_retries=0
        ) as backend,
        pytest.raises(BackendUnavailable, match=r"m at http://127\.0\.0\.1:9/v1") as caught,
    ):
        backend.complete(call_of("Hi"))
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(cut_after=0),
        Failure(cut_after=3),
        Failure(in_stream=True, kind="server_error"),
    ],
    ids=["empty", "middle", "error event"],
)
def test_cut_stream(provider: FakeProvider, either: OpenAIBackend, failure: Failure) -> None:
    provider.failures = [failure]
    with pytest.raises(BackendUnavailable):
        list(either.stream(call_of("Which gate?")))


def test_a_reader_that_stops_early_closes_the_connection(
    provider: FakeProvider, either: OpenAIBackend
) -> None:
    provider.chunk_delay_s = 0.05
    provider.respond = lambda _: Answer("word " * 200)
    chunks = either.stream(call_of("Hi"))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert provider.wait_until_gone()


def test_the_sdk_retries_by_itself(provider: FakeProvider) -> None:
    provider.failures = [Failure(429, headers={"retry-after-ms": "1"})]
    with make(provider, max_retries=1) as backend:
        assert backend.complete(call_of("Hi")).text == "You said: Hi"


# -- settings and capabilities ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4o-2024-11-20", 128_000),
        ("gpt-4", 8_192),
        ("gpt-4.1-mini", 1_047_576),
        ("openai/gpt-5-mini", 400_000),
        ("ft:gpt-4o:acme::1", 128_000),
        ("my-own-model", None),
    ],
)
def test_known_windows(model: str, window: int | None) -> None:
    assert OpenAIBackend(model=model).capabilities.context_window == window
    assert OpenAIBackend(model=model, window=999).capabilities.context_window == 999


@pytest.mark.parametrize(
    ("base_url", "name"),
    [(None, "openai"), ("https://eu.api.openai.com/v1", "openai"), ("http://gpu:8000/v1", "")],
)
def test_cache_rules_are_openais_at_its_own_address(base_url: str | None, name: str) -> None:
    assert OpenAIBackend(model="gpt-4o", base_url=base_url).capabilities.provider == name


@pytest.mark.parametrize("api", APIS)
def test_dialect(api: Literal["chat", "responses"]) -> None:
    dialect = OpenAIBackend(model="gpt-4o", api=api).capabilities.dialect
    assert dialect == {"chat": "openai", "responses": "responses"}[api]


def test_the_key_is_not_shown() -> None:
    backend = OpenAIBackend.model_validate({"model": "gpt-4o", "api_key": KEY})
    assert KEY not in repr(backend)
    assert KEY not in backend.model_dump_json()


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(RequestRefused, match=r"Set OPENAI_API_KEY or the backend's `api_key`"):
        OpenAIBackend(model="gpt-4o").complete(call_of("Hi"))


def test_a_server_of_ones_own_needs_no_key(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with make(provider, api_key=None) as backend:
        assert backend.complete(call_of("Hi")).text == "You said: Hi"


def test_a_missing_sdk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r'pip install "contextkit\[openai\]"'):
        OpenAIBackend(model="gpt-4o", api_key=KEY).complete(call_of("Hi"))


def test_unknown_fields_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="modle"):
        OpenAIBackend.model_validate({"model": "gpt-4o", "modle": 1})
    with pytest.raises(ValidationError, match="frozen"):
        OpenAIBackend(model="gpt-4o").model = "other"  # type: ignore[misc]


def test_it_can_be_used_again_after_close(provider: FakeProvider) -> None:
    backend = make(provider)
    backend.complete(call_of("Hi"))
    backend.close()
    assert backend.complete(call_of("Hi")).text == "You said: Hi"
    backend.close()
