"""Streams of every architecture with rotary positions against rotating at every read."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("torch", reason="the local engine needs torch")
pytest.importorskip("transformers", reason="the local engine needs transformers")

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit_backends.local.engine import Engine

from .architectures import BY_NAME, ROTARY, Architecture
from .reference import RotateAtRead

SINKS, WINDOW = 4, 12
N_TOKENS = 6 * (SINKS + WINDOW)
OFFSETS = (2**20, 2**24 + 1, 10**8)


def every(quick: set[str]) -> list[Any]:
    return [
        pytest.param(a.name, marks=() if a.name in quick else pytest.mark.slow, id=a.name)
        for a in ROTARY
    ]


@dataclass(frozen=True)
class Case:
    """One architecture: its tokens, what the reference answers, the engine that streams."""

    architecture: Architecture
    model: Any
    token_ids: list[int]
    wanted: Any
    engine: Engine


def some_tokens(n: int, seed: int) -> list[int]:
    chance = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 97, (n,), generator=chance).tolist())


@functools.cache
def case(name: str) -> Case:
    torch.set_num_threads(1)
    architecture = BY_NAME[name]
    model = architecture.build(seed=len(name))
    token_ids = some_tokens(N_TOKENS, seed=len(name))
    wanted = RotateAtRead(model, architecture, SINKS, WINDOW).extend(token_ids)
    engine = Engine.load(
        copy.deepcopy(model), sinks=SINKS, window=WINDOW, page_tokens=8, pool_tokens=1024
    )
    return Case(architecture, model, token_ids, wanted, engine)


def read(engine: Engine, token_ids: list[int], cuts: list[int], first_position: int = 0) -> Any:
    """Logits of a fresh stream that is given the tokens in parts that end at `cuts`."""
    ends = sorted({*cuts, len(token_ids)})
    with engine.stream(first_position=first_position) as stream:
        starts = [0, *ends[:-1]]
        parts = [token_ids[a:b] for a, b in zip(starts, ends, strict=True) if b > a]
        return torch.cat([stream.extend(part) for part in parts])


def error(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max())


@pytest.mark.parametrize("name", every({"llama", "cohere2", "deepseek_v3"}))
def test_token_by_token_is_the_reference(name: str) -> None:
    it = case(name)
    assert it.engine.stats().fallback == ""
    assert error(read(it.engine, it.token_ids, list(range(N_TOKENS))), it.wanted) <= 1e-5
    counts = it.engine.stats()
    assert counts.n_free_pages + counts.n_cached_pages == counts.n_pages


@pytest.mark.parametrize("name", every({"llama"}))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, N_TOKENS - 1), max_size=12))
def test_any_chunking_is_the_reference(name: str, cuts: list[int]) -> None:
    it = case(name)
    assert error(read(it.engine, it.token_ids, cuts), it.wanted) <= 1e-5


@pytest.mark.parametrize("name", every({"llama", "cohere2"}))
def test_the_dense_model_is_another(name: str) -> None:
    it = case(name)
    with torch.inference_mode():
        dense = it.model(torch.tensor([it.token_ids])).logits[0]
    assert error(dense, it.wanted) > 1e-2
    engine = Engine.load(copy.deepcopy(it.model), page_tokens=8, pool_tokens=1024)
    assert error(read(engine, it.token_ids, [50, 57, 58]), dense) <= 1e-5


@pytest.mark.parametrize("name", every({"llama"}))
@pytest.mark.parametrize("offset", OFFSETS)
def test_any_position_is_as_the_first(name: str, offset: int) -> None:
    it = case(name)
    found = read(it.engine, it.token_ids, [33, 40, 41, 42], first_position=offset)
    assert error(found, it.wanted) <= 1e-5


@pytest.mark.parametrize("name", every({"llama"}))
def test_bfloat16_is_as_near_as_rotating_at_read(name: str) -> None:
    it = case(name)
    half = copy.deepcopy(it.model).to(torch.bfloat16)
    rotary = next(m for n, m in half.named_modules() if n.endswith("rotary_emb"))
    source = next(m for n, m in it.model.named_modules() if n.endswith("rotary_emb"))
    for buffer, values in source.named_buffers():
        setattr(rotary, buffer, values.clone())  # as a checkpoint loads them
    exact = RotateAtRead(copy.deepcopy(half).float(), it.architecture, SINKS, WINDOW)
    wanted = exact.extend(it.token_ids)
    own = error(RotateAtRead(half, it.architecture, SINKS, WINDOW).extend(it.token_ids), wanted)
    engine = Engine.load(half, sinks=SINKS, window=WINDOW, page_tokens=8, pool_tokens=1024)
    assert error(read(engine, it.token_ids, [40, 41, 42]), wanted) <= 2 * own
