"""The local backend on the shipped model: answers, streams, batches, limits and refusals."""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import contextkit
from contextkit.call import Call
from contextkit.errors import ConfigError, ContextOverflow, RequestRefused
from contextkit.messages import ImagePart, Message, TextPart, text_message
from contextkit.tokens import add
from contextkit.tools import Tool
from contextkit_backends.local import LocalBackend
from contextkit_backends.local.detokenize import TextStream
from contextkit_backends.local.load import SHIPPED, find_folder, load_model
from contextkit_backends.local.tokenizer import ChatTokenizer
from contextkit_backends.local.tool_calls import reply_message

pytest.importorskip("torch")
pytest.importorskip("transformers")
POCKET = SHIPPED / "pocket"
NEEDLE = (
    text_message("user", "My badge number is 48213 and I sit at desk 7."),
    text_message("assistant", "Noted."),
    text_message("user", "I like green tea."),
    text_message("assistant", "OK."),
    text_message("user", "What is my badge number?"),
)


def call_of(*messages: Message, reserve: int = 64, tools: tuple[Tool, ...] = ()) -> Call:
    return Call(messages, tools, 0, 0, reserve, (), "", None)  # type: ignore[arg-type]


def ask(text: str, reserve: int = 64) -> Call:
    return call_of(text_message("user", text), reserve=reserve)


@pytest.fixture(scope="session")
def backend() -> LocalBackend:
    return LocalBackend(device="cpu", threads=1)


def test_finds_a_fact_in_a_conversation(backend: LocalBackend) -> None:
    reply = backend.complete(call_of(*NEEDLE))
    assert reply.text == "48213"
    assert reply.finish_reason == "stop"


def test_usage_is_exact(backend: LocalBackend) -> None:
    reply = backend.complete(call_of(*NEEDLE))
    measure = backend.counter.measure_frame(())
    for message in NEEDLE:
        measure = add(measure, backend.counter.measure(message))
    assert reply.usage is not None
    assert reply.usage.input_tokens == backend.counter.tokens(measure)
    assert reply.usage.output_tokens == 6  # a token a digit, and the end


def test_looks_up_ten_keys(backend: LocalBackend) -> None:
    chance = random.Random(3)
    keys = [str(uuid.UUID(int=chance.getrandbits(128)))[:8] for _ in range(10)]
    table = {key: str(chance.randint(10000, 99999)) for key in keys}
    text = json.dumps(table, indent=1)
    questions = [f'{text}\n\nKey: "{k}". What is the corresponding value?' for k in table]
    replies = backend.complete_many([ask(question) for question in questions])
    assert [reply.text for reply in replies] == list(table.values())


def test_a_batch_answers_as_one_by_one(backend: LocalBackend) -> None:
    calls = [call_of(*NEEDLE), ask("The code is 99417.\n\nWhat is the code?"), ask("Hello", 3)]
    many = backend.complete_many(calls)
    assert many == [backend.complete(call) for call in calls]
    assert many[2].finish_reason == "length"
    assert backend.complete_many([]) == []


def test_streams_the_same_reply(backend: LocalBackend) -> None:
    *chunks, last = list(backend.stream(call_of(*NEEDLE)))
    assert "".join(chunk.text for chunk in chunks) == "48213"
    assert last.reply == backend.complete(call_of(*NEEDLE))


def test_a_reader_who_leaves_stops_the_model(backend: LocalBackend) -> None:
    steps: list[Any] = []
    hook = backend._engine.model.register_forward_pre_hook(lambda *_: steps.append(1))
    threads = threading.active_count()
    chunks = backend.stream(call_of(*NEEDLE))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    hook.remove()
    assert len(steps) == 1
    assert threading.active_count() == threads


def test_stop_texts_end_a_reply(backend: LocalBackend) -> None:
    stopping = LocalBackend(device="cpu", stop=("213",))
    stopping._loaded.append(backend._engine)
    reply = stopping.complete(call_of(*NEEDLE))
    assert (reply.text, reply.finish_reason) == ("48", "stop")
    chunks = list(stopping.stream(call_of(*NEEDLE)))
    assert "".join(chunk.text for chunk in chunks) == "48"
    assert chunks[-1].reply == reply


def test_sampling_follows_its_seed(backend: LocalBackend) -> None:
    def tokens(seed: int, n_rows: int = 1) -> tuple[int, ...]:
        prompt, _ = backend.prepare(ask("Tell me a story."))
        engine = backend._engine
        found = engine.generate(
            [prompt] * n_rows,
            max_new_tokens=12,
            temperature=1.5,
            top_p=0.95,
            seed=seed,
            eos=frozenset[int](),
        )
        return found[0].token_ids

    assert tokens(1) == tokens(1)
    assert tokens(1) == tokens(1, n_rows=2)
    assert tokens(1) != tokens(2)


def test_a_tenant_does_not_read_a_known_beginning_again(backend: LocalBackend) -> None:
    long = (text_message("user", "Remember: " + "the gate is B12. " * 20), *NEEDLE[1:2])
    first = replace(call_of(*long, text_message("user", "Which gate?")), tenant="acme")
    second = replace(call_of(*long, text_message("user", "What is the gate?")), tenant="acme")
    other = replace(second, tenant="globex")
    read = [
        reply.usage.cache_read_tokens
        for reply in map(backend.complete, (first, second, other))
        if reply.usage
    ]
    assert read[0] == read[2] == 0
    assert read[1] >= 64
    assert backend.complete(second).message == backend.complete(other).message


def test_threads_of_a_manager_share_what_their_tenant_has_read(backend: LocalBackend) -> None:
    with contextkit.load({"backend": {"kind": "local", "device": "cpu", "threads": 1}}) as cm:
        own: Any = cm.backend
        own._loaded.append(backend._engine)
        long = "Remember: " + "the lounge is on level 3. " * 15
        usage = [
            cm.thread(name, tenant=tenant).respond(long + "Which level?").usage
            for name, tenant in (("a", "initech"), ("b", "initech"), ("a", "hooli"))
        ]
    assert [one.cache_read_tokens >= 64 for one in usage if one] == [False, True, False]


def test_the_pool_bounds_the_context_unless_there_is_a_window() -> None:
    assert LocalBackend(pool_tokens=512).capabilities.context_window == 512
    assert LocalBackend(pool_tokens=512, window=128).capabilities.context_window == 2048
    streaming = LocalBackend(window=128)
    assert len(streaming.prepare(ask("word " * 2500))[0]) > 2048


def test_overflow_is_refused_before_any_work() -> None:
    backend = LocalBackend()
    call = ask("word " * 2500)
    with pytest.raises(ContextOverflow, match="reads 2048 tokens") as caught:
        backend.complete(call)
    measure = add(backend.counter.measure_frame(()), backend.counter.measure(call.messages[0]))
    assert caught.value.actual_tokens == backend.counter.tokens(measure)
    assert not backend._loaded
    assert backend.capabilities.context_window == 2048


def test_images_are_refused() -> None:
    picture = Message("user", (TextPart("Look:"), ImagePart(url="https://example.org/a.png")))
    with pytest.raises(RequestRefused, match="reads text only"):
        LocalBackend().complete(call_of(picture))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("no-such-model", "not shipped \\(pocket\\)"),
        ("nobody/nothing-of-this-name", "allow_download: true"),
        ("./nowhere/at/all", "no folder"),
    ],
)
def test_a_model_that_is_not_there(model: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_folder(model)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    shutil.copy(POCKET / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(ConfigError, match="pickle, and unpickling runs code"):
        load_model(tmp_path, device="cpu", dtype="auto", trust_remote_code=False)


def test_a_wrong_dtype_is_named() -> None:
    with pytest.raises(ConfigError, match="dtype: 'float31'"):
        load_model(POCKET, device="cpu", dtype="float31", trust_remote_code=False)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("gpu", "is none of auto, cpu"),
        ("cuda:99", "sees [0-9]+ CUDA devices"),
        (None, "is none of"),
    ],
)
def test_a_device_that_is_not_there(device: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^device: .*{words}"):
        load_model(POCKET, device=device, dtype="auto", trust_remote_code=False)


def test_an_engine_of_nothing() -> None:
    from contextkit_backends.local.engine import Engine

    with pytest.raises(ConfigError, match="neither a name, a folder nor a transformers model"):
        Engine.load(None)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r'pip install "contextkit\[local\]"'):
        LocalBackend().complete(ask("Hello"))


def test_text_streams_whole_characters() -> None:
    tokenizer = ChatTokenizer.read(POCKET)
    text = "Zoë 🙂 says  “naïve” — 日本語.\n\tDone 12 "
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    pieces.append(stream.finish())
    assert "".join(pieces) == stream.text == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert sum(map(bool, pieces)) > 10


def test_text_before_a_stop_is_held_back_only_while_it_may_be_one() -> None:
    tokenizer = ChatTokenizer.read(POCKET)
    stream = TextStream(tokenizer, ("12345",))
    pieces = [stream.push(token) for token in tokenizer.encode("1234 then 12345 more")]
    assert "".join(pieces) + stream.finish() == stream.text == "1234 then "
    assert stream.stopped


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"name": "look", "arguments": {"at": "B"}}', ["look"]),
        ('<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>', ["look"]),
        ('{"name": "look", "arguments": {}}{"name": "look", "parameters": {}}', ["look", "look"]),
        ('{"name": "other", "arguments": {}}', []),
        ("Gate B12.", []),
        ('{"name": "look"', []),
    ],
)
def test_reads_tool_calls(text: str, names: list[str]) -> None:
    message = reply_message(text, {"look"})
    assert [call.name for call in message.tool_calls] == names
    assert len({call.id for call in message.tool_calls}) == len(names)
    if not names:
        assert message.text == text
