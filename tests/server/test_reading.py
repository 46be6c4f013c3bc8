"""Bodies read by their outer shape, streams read on their way, and what is remembered of both."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from weakref import ReferenceType, ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.adapters._said import content_keys
from contextkit.backend import Reply
from contextkit.errors import ContextKitError
from contextkit.server import json_body
from contextkit.server.endpoints import CHAT_API, ENDPOINTS, MESSAGES_API, RESPONSES_API, Endpoint
from contextkit.server.events import EventReader
from contextkit.server.refusals import Refusal
from contextkit.server.turns import Started, Turns
from tests.server.running import manager_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.text(max_size=5).filter(lambda name: name != "messages")
SPACES = st.sampled_from(["", " ", "\n\t ", "\r\n"])


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of the value, with space anywhere and letters escaped or not."""
    space = draw(SPACES)
    if isinstance(value, dict):
        rows = [
            f"{space}{json.dumps(k)}{draw(SPACES)}:{draw(spelled(v))}" for k, v in value.items()
        ]
        return f"{space}{{{','.join(rows)}{space}}}{space}"
    if isinstance(value, list):
        return f"{space}[{','.join(draw(spelled(v)) for v in value)}{space}]{space}"
    return f"{space}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{space}"


@settings(max_examples=60)
@given(st.data())
def test_a_body_is_read_as_json_reads_it(data: st.DataObject) -> None:
    before, after = data.draw(st.tuples(*[st.dictionaries(NAMES, VALUES, max_size=3)] * 2))
    after = {k: v for k, v in after.items() if k not in before}
    items = data.draw(st.lists(st.dictionaries(NAMES, VALUES, max_size=2), max_size=4))
    value = {**before, "messages": items, **after}
    raw = data.draw(spelled(value)).encode()
    body = json_body.read(raw, "messages")
    assert body.fields == value
    assert json.loads(json_body.written(body, body.fields)) == value
    for n_items, end in enumerate(body.ends, 1):
        assert json.loads(raw[body.array_at : end].decode().join("[]")) == items[:n_items]
        again = json_body.resume(raw, "messages", body, end)
        assert again.fields == {**value, "messages": items[n_items:]}
        assert again.ends == body.ends[n_items:]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b'{"a"}',
        b'{"a":1,}',
        b'{"a":1}x',
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"messages":[],"messages":[{}]}',
        b'{"messages":[{},]}',
        b'{"messages":[{}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
        b"{'a':1}",
        b'{"a":01}',
    ],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as told:
        json_body.read(raw, "messages")
    assert told.value.status == 400


ANY_REQUEST = st.dictionaries(
    st.sampled_from(["messages", "input", "system", "instructions", "tools", "model", "stream"]),
    VALUES
    | st.lists(
        st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "tool_calls", "tool_call_id", "call_id", "output"]
            ),
            VALUES | st.sampled_from(["user", "assistant", "tool", "function_call", "message"]),
        ),
        max_size=3,
    ),
)


@pytest.fixture(scope="module")
def any_turns() -> Iterator[Turns]:
    with manager_of() as manager:
        yield Turns(manager, 1 << 20)


def check_any_request(turns: Turns, endpoint: Endpoint, value: dict[str, Any]) -> None:
    """Managed, passed untouched, or refused by an error of contextkit's; nothing else."""
    raw = json.dumps(value).encode()
    try:
        started = turns.begin(endpoint, "t", None, raw)
    except ContextKitError:
        return
    assert started.sent == raw or started.begun is not None


@settings(max_examples=50)
@given(endpoint=st.sampled_from(ENDPOINTS), value=ANY_REQUEST)
def test_any_json_is_managed_passed_or_refused(
    any_turns: Turns, endpoint: Endpoint, value: dict[str, Any]
) -> None:
    check_any_request(any_turns, endpoint, value)


@pytest.mark.slow
@settings(max_examples=4000)
@given(endpoint=st.sampled_from(ENDPOINTS), value=ANY_REQUEST)
def test_much_json_is_managed_passed_or_refused(
    any_turns: Turns, endpoint: Endpoint, value: dict[str, Any]
) -> None:
    check_any_request(any_turns, endpoint, value)


CHAT_TEXTS = st.sampled_from(["a", "b", "é", ""])


def finish(turns: Turns, started: Started) -> None:
    """The turn answered, recorded and its body remembered."""
    turns.finish(started, lambda: Reply.of("fine"))
    turns.remember(started)


@pytest.mark.parametrize("endpoint", [CHAT_API, RESPONSES_API])
@settings(max_examples=40)
@given(st.lists(st.tuples(CHAT_TEXTS, st.integers(0, 3), st.booleans()), min_size=2, max_size=12))
def test_keys_are_those_of_the_whole_body(
    endpoint: Endpoint, steps: list[tuple[str, int, bool]]
) -> None:
    """A client goes on, goes back some turns, or edits: what is remembered changes no reading."""
    answer = ["fine"] if endpoint is CHAT_API else ["fi", "ne"]
    with manager_of() as manager:
        turns = Turns(manager, 1 << 20)
        history: list[dict[str, Any]] = []
        for text, back, answered in steps:
            history = history[: max(0, len(history) - 2 * back)]
            history.append({"role": "user", "content": f"q {text}"})
            raw = json.dumps({"model": "m", endpoint.array: history}).encode()
            started = turns.begin(endpoint, "t", None, raw)
            assert started.history is not None
            fresh = Turns(manager, 0).begin(endpoint, "other", None, raw).history
            assert fresh is not None
            assert started.history.keys == fresh.keys
            assert started.history.n_opening == fresh.n_opening
            assert content_keys(started.history.since(0)) == fresh.keys
            ends = range(1, len(fresh.keys) + 1)
            assert [started.history.end(n) for n in ends] == [fresh.end(n) for n in ends]
            assert started.sent == raw
            if answered:
                finish(turns, started)
                history += [{"role": "assistant", "content": said} for said in answer]


def test_only_what_is_new_is_read_again() -> None:
    with manager_of() as manager:
        turns = Turns(manager, 1 << 20)
        history: list[dict[str, Any]] = [{"role": "user", "content": "one"}]
        for _ in range(5):
            raw = json.dumps({"messages": history, "model": "m"}).encode()
            started = turns.begin(CHAT_API, "t", None, raw)
            finish(turns, started)
            history += [{"role": "assistant", "content": "fine"}, {"role": "user", "content": "on"}]
        assert started.history is not None
        assert (started.history.n_known, len(started.history.new)) == (7, 2)
        history[6]["content"] = "changed"  # as clients do that move a mark along
        raw = json.dumps({"messages": history, "model": "m"}).encode()
        edited = turns.begin(CHAT_API, "t", None, raw).history
        assert edited is not None
        assert edited.n_known == 6
        other = turns.begin(CHAT_API, "u", None, raw).history
        assert other is not None
        assert other.n_known == 0


def test_threads_out_of_hand_take_no_memory() -> None:
    """Nothing but the memory of the bodies keeps a thread, and that without the cycle collector's help."""
    with manager_of() as manager:
        turns = Turns(manager, 20_000)
        gc.disable()
        try:
            made: list[ReferenceType[Any]] = []
            for number in range(30):
                said = [{"role": "user", "content": f"{number} " + "word " * 1000}]
                raw = json.dumps({"model": "m", "messages": said}).encode()
                started = turns.begin(CHAT_API, "me", None, raw)
                finish(turns, started)
                assert started.begun is not None
                made.append(ref(started.begun.thread))
                del started
            kept = [thread() is not None for thread in made]
        finally:
            gc.enable()
    assert kept == [False] * 27 + [True] * 3


def test_memory_stays_within_its_bytes() -> None:
    with manager_of() as manager:
        turns = Turns(manager, 20_000)
        for number in range(30):
            history = [{"role": "user", "content": f"{number} {'x' * 3000}"}]
            raw = json.dumps({"messages": history, "model": "m"}).encode()
            finish(turns, turns.begin(CHAT_API, "t", None, raw))
            assert turns.bodies.held_bytes <= 20_000
        assert turns.bodies.held_bytes > 10_000


EVENTS = {
    CHAT_API: [
        'data: {"choices":[{"index":0,"delta":{"content":"Hi é"}}]}\n\n',
        ": a comment\n\n",
        'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r\n\r\n',
        'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
        "data: [DONE]\n\n",
    ],
    MESSAGES_API: [
        'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n\n',
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi é"}}\n\n',
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}\n\n',
        'data: {"type":"message_stop"}\n\n',
    ],
    RESPONSES_API: [
        'data: {"type":"response.created","response":{"status":"in_progress"}}\n\n',
        'data: {"type":"response.output_text.delta","delta":"Hi é"}\n\n',
        'data: {"type":"response.completed","response":{"status":"completed","output":[],'
        '"usage":{"input_tokens":3,"output_tokens":2}}}\n\n',
    ],
}
HELD_FROM = {CHAT_API.path: 2, MESSAGES_API.path: 3, RESPONSES_API.path: 2}


@given(st.sampled_from(ENDPOINTS), st.lists(st.integers(1, 400), max_size=8))
def test_streams_cut_anywhere_are_handed_on_whole(endpoint: Endpoint, cuts: list[int]) -> None:
    events = EVENTS[endpoint]
    stream = "".join(events).encode()
    reader, out = EventReader(endpoint), b""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in pairwise(places):
        out += reader.feed(stream[start:stop])
        assert stream.startswith(out)
    assert reader.is_complete
    assert out == "".join(events[: HELD_FROM[endpoint.path]]).encode()
    assert out + reader.flush() == stream
    assert reader.collector.usage is not None
    assert reader.collector.usage.input_tokens == 3


@pytest.mark.parametrize("bad", ["data: {\n\n", 'data: {"choices":[7]}\n\n', "data: \xff\n\n"])
def test_a_stream_that_cannot_be_read_passes(bad: str) -> None:
    reader = EventReader(CHAT_API)
    good = EVENTS[CHAT_API][0].encode()
    bad_event = bad.encode("latin-1")
    assert reader.feed(good + bad_event + good) + reader.feed(b"more") + reader.flush() == (
        good + bad_event + good + b"more"
    )
    assert not reader.is_complete
