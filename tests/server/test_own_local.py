"""Without an upstream, with the local engine: OpenAI's own client asks the shipped model."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI

from contextkit.server.settings import Settings
from tests.server.running import Running, http, manager_of, serving

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # loading torch and the model takes longer than all other tests here
BADGE: list[Any] = [
    {"role": "user", "content": "My badge number is 48213 and I sit at desk 7."},
    {"role": "assistant", "content": "Noted."},
    {"role": "user", "content": "What is my badge number?"},
]


@pytest.fixture(scope="module")
def own() -> Iterator[Running]:
    backend = {"kind": "local", "device": "cpu", "threads": 1}
    with serving(manager_of(2048, "sliding_window", backend=backend), Settings()) as running:
        yield running


@pytest.fixture(scope="module")
def client(own: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=own.url, api_key="sk-1", max_retries=0, timeout=300) as made:
        yield made


def streamed(client: OpenAI, messages: list[Any]) -> str:
    chunks = client.chat.completions.create(model="pocket", messages=messages, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_whole_and_streamed_say_the_same(client: OpenAI, own: Running) -> None:
    whole = client.chat.completions.create(model="pocket", messages=BADGE)
    assert whole.choices[0].message.content == "48213"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    *chunks, last = client.chat.completions.create(
        model="pocket", messages=BADGE, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "48213"
    assert last.usage is not None
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert [*(message["content"] for message in BADGE), "48213"] in own.logs().values()


def test_the_requests_limit_of_the_reply_counts(client: OpenAI) -> None:
    said = client.chat.completions.create(
        model="pocket", messages=[{"role": "user", "content": "Tell me a story."}], max_tokens=3
    )
    assert said.choices[0].finish_reason == "length"
    assert said.usage is not None
    assert said.usage.completion_tokens == 3


def test_who_leaves_stops_the_model_and_leaves_no_trace(client: OpenAI, own: Running) -> None:
    asked: list[Any] = [
        {"role": "user", "content": "Tell me of a ship and its captain, at length."}
    ]
    with client.chat.completions.create(model="pocket", messages=asked, stream=True) as stream:
        assert next(chunk for chunk in stream if chunk.choices[0].delta.content)
    deadline = time.monotonic() + 60
    while _under_way(own) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _under_way(own)
    assert all(asked[0]["content"] not in log for log in own.logs().values())
    assert streamed(client, BADGE) == "48213"


def _under_way(own: Running) -> float:
    told = http.get(f"{own.origin}/metrics").text
    found = re.search(r"^contextkit_requests_under_way (\S+)", told, re.MULTILINE)
    assert found
    return float(found[1])


def test_several_at_once_each_get_their_own(client: OpenAI) -> None:
    def ask(box: int) -> str:
        asked = f"The code of box {box} is {box}77{box}.\n\nWhat is the code of box {box}?"
        return streamed(client, [{"role": "user", "content": asked}])

    boxes = (3, 5, 8)
    with ThreadPoolExecutor(len(boxes)) as pool:
        assert list(pool.map(ask, boxes)) == ["3773", "5775", "8778"]


def test_what_the_model_cannot_read_is_refused(client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked: list[Any] = [{"role": "user", "content": [image]}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="reads text only"):
            client.chat.completions.create(model="pocket", messages=asked, stream=stream)
