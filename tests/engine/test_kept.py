"""A conversation goes on from its own cache: what a window dropped is evicted, nothing is read again."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs contextkit[local]")

from contextkit_backends.local.engine import Engine

NONE: frozenset[int] = frozenset()


@pytest.fixture(scope="module")
def engine() -> Any:
    return Engine.load("pocket", device="cpu", dtype="float32", page_tokens=16, pool_tokens=4096)


def tokens(n: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    return [draw.randrange(7, 8000) for _ in range(n)]


def reply(engine: Engine, prompt: list[int], salt: str, **said: Any) -> Any:
    (found,) = engine.generate([prompt], max_new_tokens=6, eos=NONE, salt=salt, keep=True, **said)
    return found


def test_a_longer_prompt_reads_its_new_tokens_only(engine: Engine) -> None:
    first = [0, *tokens(200, 1)]
    said = reply(engine, first, "a")
    again = [*first, *said.token_ids, *tokens(20, 2)]
    before = engine.stats().prefill_tokens
    found = reply(engine, again, "a")
    assert found.n_cached == len(first) + len(said.token_ids) - 1
    assert engine.stats().prefill_tokens - before == len(again) - found.n_cached + 5
    alone = engine.generate([again], max_new_tokens=6, eos=NONE, salt="alone")[0]
    assert found.token_ids == alone.token_ids


def test_a_cut_in_the_middle_is_an_eviction(engine: Engine) -> None:
    first = [0, *tokens(300, 3)]
    said = reply(engine, first, "b")
    cut = [*first[:21], *first[150:], *said.token_ids, *tokens(10, 4)]
    found = reply(engine, cut, "b")
    assert found.n_cached == len(cut) - 11
    # The same by hand: a stream that read all, lost the stretch, and read on.
    with engine.stream() as stream:
        stream.extend([*first, *said.token_ids[:-1]])
        stream.evict(21, 150)
        logits = stream.extend([said.token_ids[-1], *tokens(10, 4)], every=False)
        expected = [int(logits.argmax())]
        while len(expected) < 6:
            expected.append(int(stream.extend(expected[-1:]).argmax()))
    assert [*found.token_ids] == expected


def test_cuts_follow_one_another(engine: Engine) -> None:
    prompt = [0, *tokens(400, 5)]
    for step in range(4):
        said = reply(engine, prompt, "c")
        whole = [*prompt, *said.token_ids]
        prompt = [*whole[:33], *whole[93:], *tokens(15, 6 + step)]
        found = reply(engine, prompt, "c")
        assert found.n_cached == len(prompt) - 16
        prompt = [*prompt, *found.token_ids, *tokens(5, 60 + step)]


def test_an_end_said_otherwise_is_cut_off(engine: Engine) -> None:
    first = [0, *tokens(130, 9)]
    reply(engine, first, "d")
    other = [*first, *tokens(40, 10)]
    found = reply(engine, other, "d")
    assert 0 < len(first) - found.n_cached <= 16
    alone = engine.generate([other], max_new_tokens=6, eos=NONE, salt="alone")[0]
    assert found.token_ids == alone.token_ids


def test_another_conversation_of_the_tenant_is_left_alone(engine: Engine) -> None:
    first, second = [0, *tokens(200, 11)], [0, *tokens(200, 12)]
    said = reply(engine, first, "e")
    reply(engine, second, "e")
    found = reply(engine, [*first, *said.token_ids, 99], "e")
    assert found.n_cached == len(first) + 5


def test_no_tenant_goes_on_from_anothers(engine: Engine) -> None:
    first = [0, *tokens(200, 13)]
    said = reply(engine, first, "f")
    assert reply(engine, [*first, *said.token_ids, 99], "g").n_cached == 0


@pytest.mark.parametrize("kv", ["bf16", "int4-int8"])
def test_kept_pages_are_there_for_who_needs_them(kv: Any) -> None:
    engine = Engine.load(
        "pocket", device="cpu", dtype="float32", page_tokens=16, pool_tokens=512, kv=kv
    )
    for seed in range(6):
        prompt = [0, *tokens(200, 20 + seed)]
        said = reply(engine, prompt, "t")
        assert len(said.token_ids) == 6
        cut = [*prompt[:18], *prompt[90:], *said.token_ids, 5]
        assert reply(engine, cut, "t").n_cached > 0
    with engine.stream() as stream:
        stream.extend(tokens(440, 40))
    assert engine.stats().n_free_pages + engine.stats().n_cached_pages > 0
