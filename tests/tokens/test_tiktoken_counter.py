"""Exact counts: against tiktoken on every field, alone and added up, on any text whatever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import ConfigError
from contextkit.messages import (
    ROLES,
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from contextkit.tokens import TiktokenCounter, add, rank_files
from contextkit.tokens.rank_files import ENCODINGS, load_encoding
from contextkit.tokens.split import chunks, n_hard_cuts

from .samples import samples

COUNTERS = {name: TiktokenCounter(name) for name in ENCODINGS}
MARKS = ["<|endoftext|>", "<|im_start|>", "/", "'s", "}", '":"', "Ab", "123456", "\ud800", "\x00"]
BLANKS = ["\n", "\r\n", "  \n", " ", "\t", "\x1c", "\x85", "\u2028", "\xa0"]
BEYOND_ASCII = ["😀", "👨\u200d👩\u200d👧", "汉字", "é", "\u0301"]
PIECES = st.sampled_from([*MARKS, *BLANKS, *BEYOND_ASCII])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))
ENCODING = st.sampled_from(ENCODINGS)


def reference(encoding: str, text: str) -> int:
    return len(load_encoding(encoding).encode(text, disallowed_special=()))


@given(ENCODING, st.sampled_from(ROLES), TEXTS, st.none() | st.text(min_size=1, max_size=12))
def test_text_message_is_the_cookbook_sum(
    encoding: str, role: Role, text: str, name: str | None
) -> None:
    counter = COUNTERS[encoding]
    message = Message(role, (TextPart(text),), name=name)
    expected = 3 + reference(encoding, role) + reference(encoding, text)
    if name:
        expected += 1 + reference(encoding, name)
    if not text.strip():
        expected = 0
    measure = counter.measure(message)
    assert counter.tokens(measure) == counter.upper(measure) == expected


@given(ENCODING, st.lists(TEXTS, max_size=5))
def test_measures_of_messages_add_up(encoding: str, texts: list[str]) -> None:
    counter = COUNTERS[encoding]
    total = counter.zero
    for text in texts:
        total = add(total, counter.measure(text_message("user", text)))
    spoken = [text for text in texts if text.strip()]
    assert counter.tokens(total) == sum(4 + reference(encoding, text) for text in spoken)


@given(ENCODING, TEXTS, TEXTS)
def test_upper_is_never_below_tokens(encoding: str, first: str, second: str) -> None:
    counter = COUNTERS[encoding]
    result = ToolResultPart("c", (TextPart(first), ImagePart(url="https://example.org/a.png")))
    call = ToolCallPart("c", "look_up", second)
    for message in (Message("assistant", (call, TextPart(first))), Message("tool", (result,))):
        measure = counter.measure(message)
        assert counter.upper(measure) >= counter.tokens(measure) >= 4


@given(ENCODING, st.lists(PIECES, max_size=60).map("".join), st.integers(1, 12))
def test_cuts_at_line_beginnings_are_token_boundaries(encoding: str, text: str, limit: int) -> None:
    pieces = list(chunks(text, limit))
    assert "".join(pieces) == text
    if not n_hard_cuts(text, limit):
        assert sum(reference(encoding, piece) for piece in pieces) == reference(encoding, text)


@settings(max_examples=20, deadline=None)
@given(ENCODING, st.integers(0, 10))
def test_long_texts_count_as_a_whole(encoding: str, seed: int) -> None:
    text = "\n".join(samples(seed).values()) * 6
    assert COUNTERS[encoding].count(text) == reference(encoding, text)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("unit", [" ", "a", "=", "Zm9v", "汉", "\n ", "1"])
def test_a_megabyte_without_a_place_to_cut(encoding: str, unit: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "x"
    counter = COUNTERS[encoding]
    tokens, upper = counter.measure(text_message("tool", text))
    assert 0 < tokens <= upper <= tokens + 2 * (len(text) // 32_768 + 1)
    short = unit * (60_000 // len(unit))
    assert abs(counter.count(short) - reference(encoding, short)) <= 2


def test_reasoning_is_not_sent_and_every_tool_result_is_a_message() -> None:
    counter = COUNTERS["o200k_base"]
    thought = Message("assistant", (ReasoningPart("hidden " * 50), TextPart("Hello")))
    assert counter.measure(thought) == counter.measure(text_message("assistant", "Hello"))
    one = counter.measure(Message("tool", (ToolResultPart("a", "ok"),)))
    two = counter.measure(Message("tool", (ToolResultPart("a", "ok"), ToolResultPart("b", "ok"))))
    assert two == add(one, one)


def test_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contextkit.tokens.tiktoken_counter._MEMO_ENTRIES", 10)
    counter = TiktokenCounter()
    for _ in range(2):
        for i in range(50):
            assert counter.measure(text_message("user", str(i))) == (5, 5)


def test_nothing_is_learned() -> None:
    counter = TiktokenCounter("cl100k_base")
    counter.observe((10, 10), 99)
    counter.restore(counter.state())
    assert counter.exact
    assert counter.state() == ""
    assert counter.tokens((10, 12)) == 10
    assert counter.name == "tiktoken/cl100k_base/openai-chat/1"


def test_unknown_encoding_names_what_ships() -> None:
    with pytest.raises(ConfigError, match="cl100k_base, o200k_base"):
        TiktokenCounter("p50k_base")


@pytest.mark.parametrize("before", [None, "/somewhere/else"])
def test_loading_touches_no_network_and_restores_the_environment(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    import tiktoken.registry

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    if before is None:
        monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    else:
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", before)
    rank_files._load.cache_clear()
    assert len(load_encoding("cl100k_base").encode("hello world")) == 2
    assert os.environ.get("TIKTOKEN_CACHE_DIR") == before


def test_damaged_rank_file_is_an_error_not_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
    damaged.write_bytes(b"damaged")
    monkeypatch.setattr(rank_files, "FOLDER", tmp_path)
    rank_files._load.cache_clear()
    with pytest.raises(ConfigError, match="missing or damaged"):
        load_encoding("cl100k_base")
    assert damaged.read_bytes() == b"damaged"


def test_import_does_not_load_tiktoken() -> None:
    program = "import sys, contextkit.tokens; assert 'tiktoken' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
