"""Continuous batching: same answers alone and together, full pools, cancelled and broken requests."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import ConfigError, NotFinite, PoolExhausted
from tests.engine.small import VOCABULARY, greedy, small_llama

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from contextkit_backends.local.engine import Engine  # noqa: E402
from contextkit_backends.local.engine.generate import Options  # noqa: E402

NO_END: frozenset[int] = frozenset()


def load(**settings: Any) -> Engine:
    return Engine.load(small_llama(), **{"pool_tokens": 512, "page_tokens": 16, **settings})


def prompt_of(n: int, seed: int = 0) -> list[int]:
    chance = random.Random(f"{n}/{seed}")
    return [chance.randrange(VOCABULARY) for _ in range(n)]


def free(engine: Engine) -> int:
    """Pages that nobody holds."""
    stats = engine.stats()
    return stats.n_free_pages + stats.n_cached_pages


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load(chunk_tokens=24)


@pytest.fixture(scope="module")
def model() -> Any:
    return small_llama()


@settings(max_examples=12)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_a_batch_answers_as_transformers_does_one_by_one(
    engine: Engine, model: Any, lengths: list[int], seed: int
) -> None:
    prompts = [prompt_of(n, seed) for n in lengths]
    found = engine.generate(prompts, max_new_tokens=9, eos=NO_END)
    assert [one.token_ids for one in found] == [greedy(model, prompt, 9) for prompt in prompts]
    assert free(engine) == engine.stats().n_pages


def test_draws_do_not_depend_on_the_batch(engine: Engine) -> None:
    drawn = Options(temperature=1.3, top_p=0.95, seed=11, max_new_tokens=12, eos=NO_END)
    prompts = [prompt_of(n) for n in (30, 5, 41)]
    together = [one.token_ids for one in engine.generate(prompts, options=drawn)]
    assert together == [engine.generate([p], options=drawn)[0].token_ids for p in prompts]
    assert together != [one.token_ids for one in engine.generate(prompts, options=drawn, seed=12)]


def test_requests_of_different_lengths_leave_and_enter(engine: Engine, model: Any) -> None:
    engine.runner.max_running = 2
    try:
        prompts = [prompt_of(n) for n in (50, 3, 20, 33, 8)]
        found = engine.generate(prompts, max_new_tokens=7, eos=NO_END)
    finally:
        engine.runner.max_running = 64
    assert [one.token_ids for one in found] == [greedy(model, prompt, 7) for prompt in prompts]


def test_a_known_prefix_is_not_read_again(model: Any) -> None:
    engine = load()
    start = prompt_of(70)
    prompts = [[*start, *prompt_of(9, seed)] for seed in range(4)]
    found = engine.generate(prompts, max_new_tokens=5, eos=NO_END)
    assert [one.token_ids for one in found] == [greedy(model, prompt, 5) for prompt in prompts]
    assert [one.n_cached for one in found] == [0, 64, 64, 64]
    assert engine.stats().avoided_tokens == 3 * 64
    again = engine.generate(prompts[:1], max_new_tokens=5, eos=NO_END)
    assert again[0].n_cached == 64
    assert again[0].token_ids == found[0].token_ids
    stranger = engine.generate(prompts[:1], max_new_tokens=5, eos=NO_END, salt="another tenant")
    assert stranger[0].n_cached == 0


def test_where_pages_run_out_the_youngest_waits(model: Any) -> None:
    engine = load(pool_tokens=96)
    prompts = [prompt_of(30), prompt_of(40), prompt_of(20)]
    found = engine.generate(prompts, max_new_tokens=40, eos=NO_END)
    assert [one.token_ids for one in found] == [greedy(model, prompt, 40) for prompt in prompts]
    assert free(engine) == engine.stats().n_pages


def test_a_prompt_over_the_pool_fails_alone(model: Any) -> None:
    engine = load(pool_tokens=96)
    prompts = [prompt_of(20), prompt_of(200), prompt_of(30)]
    found = engine.generate(prompts, max_new_tokens=6, eos=NO_END, keep_errors=True)
    assert isinstance(found[1].error, PoolExhausted)
    assert found[1].finish_reason == "error"
    for place in (0, 2):
        assert found[place].token_ids == greedy(model, prompts[place], 6)
    with pytest.raises(PoolExhausted, match="available"):
        engine.generate(prompts, max_new_tokens=6, eos=NO_END)
    assert free(engine) == engine.stats().n_pages


def test_a_reply_that_outgrows_the_pool_fails_and_frees_it() -> None:
    engine = load(pool_tokens=64)
    with pytest.raises(PoolExhausted):
        engine.generate([prompt_of(30)], max_new_tokens=100, eos=NO_END)
    assert free(engine) == engine.stats().n_pages == 4


def test_a_window_makes_room_for_any_length() -> None:
    engine = load(pool_tokens=128, window=32, chunk_tokens=32)
    found = engine.generate([prompt_of(300), prompt_of(40)], max_new_tokens=150, eos=NO_END)
    assert [len(one.token_ids) for one in found] == [150, 150]
    assert (
        found[0].token_ids
        == engine.generate([prompt_of(300)], max_new_tokens=150, eos=NO_END)[0].token_ids
    )


def test_a_reader_who_leaves_frees_the_pages(engine: Engine) -> None:
    pieces = engine.stream_generate(prompt_of(40), max_new_tokens=200, eos=NO_END)
    with closing(pieces):
        next(pieces)
        assert free(engine) < engine.stats().n_pages
    assert free(engine) == engine.stats().n_pages


def test_readers_in_turns_get_what_they_get_alone(engine: Engine, model: Any) -> None:
    prompts = [prompt_of(n, 3) for n in (12, 44, 29)]
    readers = [engine.stream_generate(p, max_new_tokens=8, eos=NO_END) for p in prompts]
    found: list[list[int]] = [[] for _ in prompts]
    chance = random.Random(4)
    while any(len(ids) < 8 for ids in found):
        n = chance.randrange(3)
        if len(found[n]) < 8:
            token = next(readers[n]).token_id
            assert token is not None
            found[n].append(token)
    assert [tuple(ids) for ids in found] == [greedy(model, prompt, 8) for prompt in prompts]
    for reader in readers:
        reader.close()


def test_threads_share_the_engine(engine: Engine, model: Any) -> None:
    prompts = [prompt_of(n, 5) for n in (10, 25, 40, 55)]
    found: dict[int, tuple[int, ...]] = {}

    def ask(n: int) -> None:
        found[n] = engine.generate([prompts[n]], max_new_tokens=10, eos=NO_END)[0].token_ids

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: greedy(model, prompt, 10) for n, prompt in enumerate(prompts)}


def test_broken_logits_name_the_request_and_the_position() -> None:
    model = small_llama()
    broken = 13
    with torch.no_grad():
        model.get_input_embeddings().weight[broken] = float("nan")
    engine = Engine.load(model, pool_tokens=512, page_tokens=16)
    healthy = [token for token in prompt_of(20) if token != broken]
    found = engine.generate(
        [[1, 2, broken], healthy], max_new_tokens=3, eos=NO_END, keep_errors=True
    )
    assert isinstance(found[0].error, NotFinite)
    assert "request 0" in str(found[0].error)
    assert "position 3" in str(found[0].error)
    assert found[1].error is None
    assert len(found[1].token_ids) == 3


def test_a_stream_is_gone_on_with_and_stays(engine: Engine, model: Any) -> None:
    start = prompt_of(37)
    with engine.stream() as stream:
        stream.extend(start[:20])
        held = free(engine)
        for _ in range(2):
            found = engine.continue_stream(stream, start[20:], max_new_tokens=6, eos=NO_END)
            assert found.token_ids == greedy(model, start, 6)
        assert (stream.position, free(engine)) == (20, held)


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ([], {}, "prompt: has no tokens"),
        ([3, VOCABULARY], {}, f"token {VOCABULARY}"),
        ([3], {"max_new_tokens": 0}, "max_new_tokens: 0"),
        ("text", {}, "no tokenizer"),
        ([3], {"stop": ("x",)}, "stop: needs a tokenizer"),
        ([3], {"json_schema": {}}, "json_schema: needs a tokenizer"),
    ],
)
def test_bad_requests_are_named(
    engine: Engine, prompt: list[int] | str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        engine.generate([prompt], **options)
    assert free(engine) == engine.stats().n_pages
