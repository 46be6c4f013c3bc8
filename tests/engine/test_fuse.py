"""Fused decode kernels against their torch references, and against the modules they stand for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.engine.small import small_llama
from tests.kernels.conftest import _interpreter as _interpreter

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
transformers = pytest.importorskip("transformers")

from contextkit_backends.local.engine import Engine  # noqa: E402

FREQUENCIES = 1 / 10000 ** (torch.arange(0, 16, 2, dtype=torch.float64) / 16)


def close(found: Any, wanted: Any) -> bool:
    return bool(torch.allclose(found.float(), wanted.float(), rtol=1e-4, atol=1e-4))


@pytest.mark.parametrize(("n_out", "n_in", "gated"), [(37, 100, False), (24, 64, True)])
def test_gemv(n_out: int, n_in: int, gated: bool) -> None:
    from contextkit_backends.local.kernels.gemv import gemv, reference
    from contextkit_backends.local.kernels.launch import GemvConfig

    x, norm = torch.randn(1, n_in), torch.randn(n_in)
    weight = torch.randn(n_out * (1 + gated), n_in)
    bias, residual = torch.randn(len(weight)), torch.randn(1, n_out)
    for more in (
        {},
        {"norm": norm, "eps": 1e-5},
        {"bias": bias, "norm": norm, "eps": 1e-5, "residual": residual},
    ):
        found = gemv(x, weight, gated=gated, config=GemvConfig(4, 64, 4), **more)
        assert close(found, reference(x, weight, gated=gated, **more))


def places(position: int, n_rows: int, slots: list[int]) -> dict[str, Any]:
    return {
        "positions": torch.tensor([position + n for n in range(n_rows)]),
        "gaps": torch.tensor([position // 2] * n_rows),
        "frequencies": FREQUENCIES,
        "factor": 1.2,
        "slots": torch.tensor(slots),
        "n_heads": 4,
    }


@pytest.mark.parametrize("position", [3, 10**8 + 1])
def test_projection_rotation_and_write(position: int) -> None:
    from contextkit_backends.local.kernels.qkv import project, reference

    x, weight, bias, norm = (torch.randn(s) for s in ((1, 48), (128, 48), (128,), (48,)))
    found: list[list[Any]] = []
    for act in (project, reference):
        keys, values = torch.full((2, 3, 2, 8, 16), math.nan)
        where = {**places(position, 1, [13]), "keys": keys, "values": values}
        found.append([*act(x, weight, bias, norm, 1e-5, **where), keys[1], values[1]])
        assert int(keys.isnan().sum()) == keys.numel() - 2 * 16
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("normed", [False, True])
def test_rows_are_rotated_and_written_and_padding_is_not(normed: bool) -> None:
    from contextkit_backends.local.kernels.pointwise import rotate_write, rotate_write_reference

    qkv = torch.randn(3, 128)
    norms = {"q_norm": torch.randn(16), "k_norm": torch.randn(16), "eps": 1e-6} if normed else {}
    keys, values = torch.zeros(2, 3, 2, 8, 16)
    where = places(77, 3, [13, -1, 2])
    q, q_head = rotate_write(qkv, keys=keys, values=values, **where, **norms)
    real = {**places(77, 3, [13, 5, 2]), "keys": torch.zeros(3, 2, 8, 16)}
    real["values"] = torch.zeros(3, 2, 8, 16)
    wanted = rotate_write_reference(qkv, **real, **norms)
    assert close(q, wanted[0])
    assert close(q_head, wanted[1])
    for name, found in (("keys", keys), ("values", values)):
        real[name][0, :, 5] = 0.0
        assert close(found, real[name])


def test_norms_and_gates_of_several_rows() -> None:
    from contextkit_backends.local.kernels.pointwise import add_norm, norm_reference, silu_product

    x, delta, weight, pair = (torch.randn(s) for s in ((3, 40), (3, 40), (40,), (3, 2 * 1100)))
    grown = x.clone()
    assert close(add_norm(grown, delta, weight, 1e-5), norm_reference(x + delta, weight, 1e-5))
    assert close(grown, x + delta)
    assert close(add_norm(x, None, weight, 1e-5), norm_reference(x, weight, 1e-5))
    gate, up = pair.chunk(2, dim=-1)
    assert close(silu_product(pair), torch.nn.functional.silu(gate) * up)


def test_a_step_finds_its_places_and_picks_tokens() -> None:
    from contextkit_backends.local.kernels.greedy import pick, place

    length = torch.tensor([40, -1, 6])
    table = torch.tensor([[7, 3, 4, 0], [0, 0, 0, 0], [5, 0, 0, 0]], dtype=torch.int32)
    numbers = torch.tensor([[1, 1, 1], [4, 1, 1], [4, 4, 4]], dtype=torch.int32)
    floor = torch.tensor([0, 0, 0])
    n_head_pages, tail_first, head = numbers
    found = place(length, table, n_head_pages, tail_first, head, floor, window=8, page_tokens=8)
    positions, gaps, slots, lengths = (one.tolist() for one in found)
    # Position 40 is in block 5: the head's one page, then blocks 4 and 5.
    assert (positions, gaps) == ([40, 0, 6], [28, 0, 0])
    assert (slots, lengths) == ([4 * 8, -1, 5 * 8 + 6], [41, 0, 7])
    logits = torch.randn(3, 5000)
    logits[2, 4321] = math.nan
    ids, answers = torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)
    pick(logits, ids, answers, length)
    assert ids[:2].tolist() == answers[:2].tolist() == logits[:2].argmax(-1).tolist()
    assert answers[2] < 0
    assert length.tolist() == [41, -1, 7]


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3"])
def test_the_fused_model_is_found_and_equal(kind: str) -> None:
    from contextkit_backends.local.engine.fuse import FusedModel

    model = small_llama()
    if kind != "Llama":
        config = getattr(transformers, f"{kind}Config")(**model.config.to_diff_dict())
        model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    engine = Engine.load(model, pool_tokens=64, page_tokens=16)
    assert engine.paged is not None
    before = {name: value.clone() for name, value in model.named_parameters()}
    fused = FusedModel.of(engine.paged)  # compares every layer with the model's own
    assert len(fused.layers) == 2
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name])
    attention = model.model.layers[0].self_attn
    packed = fused.layers[0].qkv[0]
    assert (
        attention.k_proj.weight.untyped_storage().data_ptr() == packed.untyped_storage().data_ptr()
    )


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Granite", {"residual_multiplier": 0.5}),  # built alike, computes something else
        ("GPTNeoX", {}),
        ("Gemma", {}),
    ],
)
def test_models_that_are_unlike_are_left_alone(kind: str, more: dict[str, Any]) -> None:
    from contextkit_backends.local.engine.fuse import FusedModel, Unlike

    config = getattr(transformers, f"{kind}Config")(
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        vocab_size=97,
        **more,
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    engine = Engine.load(model, pool_tokens=64, page_tokens=16)
    assert engine.paged is not None
    with pytest.raises(Unlike):
        FusedModel.of(engine.paged)
    assert len(engine.generate([[1, 2, 3]], max_new_tokens=3, eos=frozenset())[0].token_ids) == 3
