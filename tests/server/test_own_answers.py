"""Without an upstream: the configured backend behind an OpenAI-compatible API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from contextkit.server.settings import Settings
from tests.server.running import Running, http, manager_of, serving

CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
]}  # fmt: skip


@pytest.fixture
def own() -> Iterator[Running]:
    manager = manager_of(
        4000, "sliding_window", backend={"kind": "scripted", "replies": ["Gate twelve.", CALL]}
    )
    with serving(manager, Settings()) as running:
        yield running


@pytest.fixture
def client(own: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=own.url, api_key="sk-1", max_retries=0) as made:
        yield made


def test_whole_then_streamed_with_a_tool(client: OpenAI, own: Running) -> None:
    history: Any = [{"role": "user", "content": "Which gate?"}]
    first = client.chat.completions.create(model="any", messages=history)
    assert first.choices[0].message.content == "Gate twelve."
    assert first.choices[0].finish_reason == "stop"
    assert first.usage is not None
    assert first.usage.prompt_tokens > 0
    history += [
        {"role": "assistant", "content": "Gate twelve."},
        {"role": "user", "content": "Sure?"},
    ]
    stream = client.chat.completions.create(
        model="any", messages=history, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    calls = [call for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or ()]
    assert [call.function.name for call in calls if call.function] == ["look_up"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    (log,) = own.logs().values()
    assert log[:3] == ["Which gate?", "Gate twelve.", "Sure?"]
    assert len(log) == 4


def test_models_and_what_is_not_served(client: OpenAI, own: Running) -> None:
    (model,) = client.models.list()
    assert client.models.retrieve(model.id).id == model.id
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.embeddings.create(model="x", input="y")
    with pytest.raises(openai.BadRequestError, match="answers once"):
        client.chat.completions.create(model="x", n=2, messages=[{"role": "user", "content": "hi"}])
    assert http.post(f"{own.url}/messages", json={}).json()["type"] == "error"


def test_a_script_at_its_end_is_an_error_of_the_api(client: OpenAI) -> None:
    for text in ("one", "two"):
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": text}])
    with pytest.raises(openai.APIStatusError) as told:
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": "three"}])
    assert told.value.status_code >= 500
    with pytest.raises(openai.APIStatusError) as told:
        client.chat.completions.create(
            model="x", messages=[{"role": "user", "content": "three"}], stream=True
        )
    assert told.value.status_code >= 500


@pytest.mark.parametrize("limit", [0, -1, True, "9", 1.5])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_that_is_none_is_refused(own: Running, name: str, limit: object) -> None:
    sent = {"model": "m", "messages": [{"role": "user", "content": "hi"}], name: limit}
    told = http.post(f"{own.url}/chat/completions", json=sent)
    assert told.status_code == 400
    assert told.json()["error"]["message"].startswith(f"{name}: must be a whole number")
