"""Decoding one step ahead: a GPU's captured steps stood in for by the same steps run at once on the CPU."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from contextkit.errors import NotFinite, PoolExhausted
from tests.engine.small import VOCABULARY, greedy, small_llama
from tests.engine.test_runner import NO_END, free, load, prompt_of

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("triton", reason="the captured steps' module imports it")

from contextkit_backends.local.engine import Engine  # noqa: E402
from contextkit_backends.local.engine.ahead import Ahead  # noqa: E402
from contextkit_backends.local.engine.batch import Row, make_batch  # noqa: E402


class StepsAtOnce:
    """What `DecodeGraphs` does, without a graph: tokens feed themselves, slots follow from lengths."""

    def __init__(self, engine: Engine) -> None:
        assert engine.paged is not None
        self._paged = engine.paged
        self._ids: list[int] = []
        self._told: list[int] = []

    def __len__(self) -> int:
        return 1

    def holds(self, _: Any) -> bool:
        return True

    def fits(self, n_rows: int) -> bool:
        return n_rows <= 4

    def start(self, _: Sequence[Any], token_ids: Sequence[int]) -> None:
        self._ids = [*token_ids]

    def launch(self, sequences: Sequence[Any]) -> Any:
        rows = [Row(one, [token]) for one, token in zip(sequences, self._ids, strict=True)]
        slots = [one._slots(one.length, one.length + 1) for one in sequences]
        logits = self._paged.forward(make_batch(rows, slots, self._paged.model.device))
        self._ids = logits.argmax(-1).tolist()
        finite = torch.isfinite(logits).all(-1).tolist()
        self._told = [
            one if is_finite else -1 - one for one, is_finite in zip(self._ids, finite, strict=True)
        ]
        return logits

    def answers(self) -> Any:
        told = [*self._told]

        class Told:
            def wait(self) -> list[int]:
                return told

        return Told()


def ahead(engine: Engine) -> Engine:
    steps: Any = StepsAtOnce(engine)
    engine.runner._ahead = Ahead(steps)
    return engine


@pytest.fixture(scope="module")
def model() -> Any:
    return small_llama()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return ahead(load())


def test_equals_transformers(engine: Engine, model: Any) -> None:
    for lengths in ([7], [5, 33, 16], [15, 16, 17, 31, 40]):  # five do not fit a step: one by one
        prompts = [prompt_of(n) for n in lengths]
        found = engine.generate(prompts, max_new_tokens=20, eos=NO_END)
        assert [one.token_ids for one in found] == [greedy(model, p, 20) for p in prompts]
    assert engine.stats().n_decode_steps == 3 * 19  # the first token of each is a prefill's
    assert free(engine) == engine.stats().n_pages


def test_end_tokens_throw_the_step_ahead_away(engine: Engine, model: Any) -> None:
    prompts = [prompt_of(n) for n in (9, 30, 21)]
    whole = [greedy(model, prompt, 24) for prompt in prompts]
    eos = frozenset({whole[0][3], whole[1][11], whole[2][17]})
    found = engine.generate(prompts, max_new_tokens=24, eos=eos)
    for one, tokens in zip(found, whole, strict=True):
        n = next(n for n, token in enumerate(tokens) if token in eos) + 1
        assert (one.token_ids, one.finish_reason) == (tokens[:n], "stop")
    assert free(engine) == engine.stats().n_pages
    again = engine.generate(
        prompts, max_new_tokens=24, eos=NO_END
    )  # no page kept what was thrown away
    assert [one.token_ids for one in again] == whole


def test_readers_enter_and_leave_in_between(engine: Engine, model: Any) -> None:
    chance = random.Random(2)
    prompts = [prompt_of(n, 8) for n in (12, 40, 29, 18)]
    wanted = [greedy(model, prompt, 16) for prompt in prompts]
    readers: dict[int, Any] = {}
    found: dict[int, list[int]] = {}
    for _ in range(120):
        n = chance.randrange(4)
        if n not in readers:
            readers[n] = engine.stream_generate(prompts[n], max_new_tokens=16, eos=NO_END)
            found[n] = []
        piece = next(readers[n])
        if piece.token_id is not None:
            found[n].append(piece.token_id)
        assert tuple(found[n]) == wanted[n][: len(found[n])]
        if piece.generation is not None or chance.random() < 0.1:
            readers.pop(n).close()
    for reader in readers.values():
        reader.close()
    assert free(engine) == engine.stats().n_pages


def test_full_pools_and_broken_logits(model: Any) -> None:
    small = ahead(load(pool_tokens=96))
    prompts = [prompt_of(30), prompt_of(40), prompt_of(20)]
    found = small.generate(prompts, max_new_tokens=40, eos=NO_END)
    assert [one.token_ids for one in found] == [greedy(model, p, 40) for p in prompts]
    with pytest.raises(PoolExhausted):
        small.generate(prompts[:1], max_new_tokens=200, eos=NO_END)
    assert free(small) == small.stats().n_pages

    tokens = greedy(model, prompts[0], 20)
    broken = small_llama()
    with torch.no_grad():
        broken.get_input_embeddings().weight[tokens[10]] = float("nan")
    assert tokens[10] not in prompts[0]
    assert 0 <= tokens[10] < VOCABULARY
    engine = ahead(Engine.load(broken, pool_tokens=256, page_tokens=16))
    (one,) = engine.generate(prompts[:1], max_new_tokens=20, eos=NO_END, keep_errors=True)
    assert isinstance(one.error, NotFinite)
    assert one.token_ids == tokens[: tokens.index(tokens[10]) + 1]
    assert free(engine) == engine.stats().n_pages
