"""Quantised pages: small errors whatever the key bias, counted bytes, each page quantised once."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("torch", reason="the local engine needs torch")
pytest.importorskip("transformers", reason="the local engine needs transformers")

import torch

from contextkit_backends.local.engine import Engine
from contextkit_backends.local.engine.pool import KVPool, LayerShape, PoolSize, choose_size
from contextkit_backends.local.engine.quant import centre, key_bias, page_angles, quantise
from contextkit_backends.local.engine.rope import Pairing, Rope
from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.engine.storage import Filled
from contextkit_backends.local.kernels.base import PackedPages
from contextkit_backends.local.kernels.plain import dequantise, read_grid

HEADS, P, D = 2, 64, 64


def rope_of(n: int, pairing: Pairing = "halves", scaling: float = 1.0) -> Rope:
    frequencies = 10000.0 ** (-torch.arange(n, dtype=torch.float64) / n)
    return Rope(frequencies, 0, pairing, scaling)


def rotate(rope: Rope, x: Any, first: int) -> Any:
    """`x [heads, n, D]` at positions `first …`, in double precision."""
    n = len(rope.frequencies)
    angles = (first + torch.arange(x.shape[1]))[:, None].double() * rope.frequencies
    out = x.double().clone()
    pairs = ((i, i + n) if rope.pairing == "halves" else (2 * i, 2 * i + 1) for i in range(n))
    for i, (a, b) in enumerate(pairs):
        cos, sin = angles[:, i].cos(), angles[:, i].sin()
        out[..., a] = x[..., a] * cos - x[..., b] * sin
        out[..., b] = x[..., b] * cos + x[..., a] * sin
    return out


def numbers(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_errors_stay_within_half_a_step() -> None:
    keys, values = numbers(5, HEADS, P, D), numbers(5, HEADS, P, D, seed=1) * 30
    packed = quantise(keys, values)
    k, v = dequantise(packed, torch.arange(5))
    step = read_grid(packed.key_grid)[0].unsqueeze(-2)
    span = (keys.amax(-2) - keys.amin(-2)).unsqueeze(-2)
    assert ((k - keys).abs() <= 0.501 * step).all()
    assert (step <= 1.126 * span / 15).all()
    assert ((v - values).abs() <= 0.51 * packed.value_scale.float()[..., None]).all()


def test_a_large_offset_costs_what_a_byte_for_the_zero_costs() -> None:
    offset = 100 * numbers(1, HEADS, 1, D, seed=2)
    keys = offset + numbers(1, HEADS, P, D) * 0.1
    packed = quantise(keys, torch.zeros(1, HEADS, P, D))
    k, v = dequantise(packed, torch.arange(1))
    step = read_grid(packed.key_grid)[0].unsqueeze(-2)
    assert ((k - keys).abs() <= 0.501 * step).all()
    span = (keys.amax(-2) - keys.amin(-2)).unsqueeze(-2)
    assert (step <= 1.126 * torch.maximum(span / 15, keys.abs().amax(-2, keepdim=True) / 128)).all()
    assert torch.equal(v, torch.zeros_like(v))


@pytest.mark.parametrize("number", [0.0, 3.0, -0.02, 60000.0])
def test_a_page_of_one_number_comes_back(number: float) -> None:
    keys = torch.full((1, HEADS, P, D), number)
    k, _ = dequantise(quantise(keys, keys), torch.arange(1))
    assert ((k - keys).abs() <= abs(number) / 200).all()


@pytest.mark.parametrize("pairing", ["halves", "interleaved"])
@pytest.mark.parametrize("n_rotated", [32, 16, 0])
@pytest.mark.parametrize("first", [0, 4096, 10**8])
def test_the_centre_is_the_bias_at_each_position(
    pairing: Pairing, n_rotated: int, first: int
) -> None:
    rope, bias = rope_of(n_rotated, pairing, scaling=1.25), numbers(HEADS, D)
    angles = page_angles(rope, torch.tensor([first]), D)
    found = centre(key_bias(bias, rope, P, *angles), torch.tensor([0]))
    expected = rotate(rope, 1.25 * bias[:, None].expand(-1, P, -1), first)
    assert (found[0] - expected).abs().max() < 1e-5


def logit_error(bias: Any, *, removed: bool) -> float:
    """The error of attention logits over one quantised page, as a root mean square."""
    rope, first = rope_of(D // 2), 1024
    keys = rotate(rope, numbers(HEADS, P, D) + bias[:, None], first).float()[None]
    known = key_bias(bias, rope, P, *page_angles(rope, torch.tensor([first]), D))
    packed = quantise(keys, keys, centre(known, torch.tensor([0])) if removed else None)
    restored = PackedPages(
        packed.keys, packed.key_grid, packed.values, packed.value_scale,
        bias=known if removed else None,
    )  # fmt: skip
    k, _ = dequantise(restored, torch.tensor([0]))
    query = numbers(HEADS, 256, D, seed=2)
    return float((query @ (k - keys)[0].mT / math.sqrt(D)).square().mean().sqrt())


@pytest.mark.parametrize("channel", [0, 1, 20, 31], ids="channel{}".format)
def test_a_large_key_bias_costs_nothing_once_it_is_off(channel: int) -> None:
    bias = torch.zeros(HEADS, D)
    plain = logit_error(bias, removed=False)
    bias[:, channel] = 60.0
    assert logit_error(bias, removed=True) < 1.15 * plain
    if channel < 20:  # rotation carries the bias of a fast channel all over its range
        assert logit_error(bias, removed=False) > 3 * plain


@pytest.mark.parametrize(("dim", "ratio"), [(64, 2.56), (80, 2.56), (128, 2.58), (256, 2.59)])
def test_packed_pages_are_a_fraction_of_bf16(dim: int, ratio: float) -> None:
    shapes = [LayerShape(4, dim, dim)] * 2
    full = KVPool(shapes, PoolSize(16), dtype=torch.bfloat16).bytes()
    both = KVPool(shapes, PoolSize(1, 16), dtype=torch.bfloat16)
    packed = both.bytes() - full // 16
    assert packed == 16 * sum(shape.page_bytes(P, None) for shape in shapes)
    assert full / packed >= ratio


def test_pages_for_tokens_and_for_memory() -> None:
    shapes = [LayerShape(1, 64, 64)]
    where: dict[str, Any] = {"page_tokens": P, "dtype": torch.float32, "device": "cpu"}
    assert choose_size(shapes, pool_tokens=1000, **where) == PoolSize(16)
    assert choose_size(shapes, pool_tokens=1000, packed=True, **where) == PoolSize(64, 16)
    assert choose_size(shapes, **where).n_pages * P * 512 == 1 << 30
    assert choose_size(shapes, most_pool_tokens=1000, **where) == PoolSize(16)
    assert choose_size(shapes, most_pool_tokens=1 << 40, **where) == choose_size(shapes, **where)


def test_pack_leaves_other_pages_alone() -> None:
    pool = KVPool([LayerShape(HEADS, D, D)], PoolSize(4, 70))
    pool.keys[0].copy_(numbers(4, HEADS, P, D))
    before = pool.packed[0].keys.clone()
    targets = [4 + n for n in range(66)]
    pool.pack([Filled(n % 4, target, n * P) for n, target in enumerate(targets)])
    k, _ = dequantise(pool.packed[0], torch.arange(66))
    assert (k - pool.keys[0][torch.arange(66) % 4]).abs().max() < 0.5
    assert torch.equal(pool.packed[0].keys[66:], before[66:])


def qwen2(bias: float) -> Any:
    """A tiny model of Qwen2's shape, with random weights and a large bias in its keys."""
    import transformers

    torch.manual_seed(5)
    config = transformers.Qwen2Config(
        vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
        tie_word_embeddings=False,
    )  # fmt: skip
    model: Any = transformers.Qwen2ForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
        for layer in model.model.layers:
            layer.self_attn.k_proj.bias.copy_(numbers(2 * 16, seed=7) * bias)
    return model


def logits_of(model: Any, token_ids: list[int], **settings: Any) -> Any:
    with Engine.load(
        model, page_tokens=16, pool_tokens=512, chunk_tokens=64, **settings
    ).stream() as stream:
        return torch.cat([stream.extend(token_ids[:150]), stream.extend(token_ids[150:])])


@pytest.mark.parametrize("settings", [{}, {"sinks": 4, "window": 80}], ids=["dense", "streaming"])
def test_a_model_with_large_key_biases(settings: dict[str, Any]) -> None:
    token_ids = torch.randint(0, 128, (200,), generator=torch.Generator().manual_seed(3)).tolist()
    full = logits_of(qwen2(40.0), token_ids, **settings)
    packed = logits_of(qwen2(40.0), token_ids, kv="int4-int8", **settings)
    assert torch.equal(packed[:64], full[:64])  # nothing was quantised before the first chunk ended
    error = (packed - full)[64:].square().mean().sqrt() / full[64:].std()
    assert 0 < error < 0.35  # 0.65 where the bias stays in


def test_a_page_is_quantised_when_it_fills_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.load(
        qwen2(1.0), page_tokens=16, pool_tokens=512, kv="int4-int8", sinks=4, window=80
    )
    assert engine.paged is not None
    pool, seen = engine.paged.pool, list[Filled]()
    pack = pool.pack

    def counted(filled: list[Filled]) -> None:
        seen.extend(filled)
        pack(filled)

    monkeypatch.setattr(pool, "pack", counted)
    with engine.stream() as stream:
        for start in range(0, 300, 7):
            stream.extend([start % 128] * 7, every=False)
        assert [page.first_position for page in seen] == [*range(16, 300 - 15, 16)]
        sequence: Sequence = stream._sequence
        row = sequence.row()
        assert row.is_packed == (2, *(1,) * (len(row.table) - 2), 0)
