"""`contextkit kv-size`: the figures are those of the pool, for grouped, sliding and latent attention."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from contextkit.cli.commands import app
from contextkit.errors import ConfigError
from contextkit.kv_size import KvShape, kv_size, read_shape, sizes

pytest.importorskip("torch", reason="the local engine needs torch")
pytest.importorskip("transformers", reason="the local engine needs transformers")

import torch

from contextkit_backends.local.engine import Engine
from contextkit_backends.local.engine.pages import PagePool
from contextkit_backends.local.engine.pool import KVPool, LayerShape, PoolSize
from contextkit_backends.local.engine.sequence import Sequence

from .architectures import ROTARY
from .token_pages import P, TokenPages

QUICK = ("llama", "gemma2", "deepseek_v3")
OTHER = (
    "llama4_text",
    "gpt_neox",
)  # chunks are no windows; its configuration names heads it has not
SHAPE = KvShape(n_layers=3, n_heads=6, n_kv_heads=2, key_dim=64, value_dim=32)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(a.name, marks=() if a.name in QUICK else pytest.mark.slow)
        for a in ROTARY
        if a.name not in OTHER
    ],
)
def test_the_shape_is_what_the_engine_finds_by_running_the_model(name: str) -> None:
    model = next(a for a in ROTARY if a.name == name).build()
    shape = read_shape(json.loads(model.config.to_json_string(use_diff=False)))
    paged = Engine.load(model, pool_tokens=64).paged
    assert paged is not None
    one = LayerShape(shape.n_kv_heads, shape.key_dim, shape.value_dim)
    assert paged.pool.shapes == [one] * shape.n_layers
    windows = tuple(layer.window for layer in paged.adapted.layers if layer.window)
    assert shape.sliding == windows


@pytest.mark.parametrize("option", ["fp32", "bf16", "int4-int8"])
def test_a_page_takes_what_the_tensors_take(option: Any) -> None:
    layers = [LayerShape(SHAPE.n_kv_heads, SHAPE.key_dim, SHAPE.value_dim)] * SHAPE.n_layers
    dtype = torch.float32 if option == "fp32" else torch.bfloat16
    without, packed = KVPool(layers, PoolSize(1), dtype=dtype), PoolSize(1, 4)
    n_bytes = without.bytes()
    if option == "int4-int8":
        n_bytes = (KVPool(layers, packed, dtype=dtype).bytes() - n_bytes) // 4
    assert n_bytes == SHAPE.page_bytes(64, option)


@given(
    st.integers(1, 90),
    st.sampled_from([(0, None), (0, 5), (4, 9), (5, 8), (9, 30)]),
    st.booleans(),
)
def test_pages_are_those_a_sequence_holds(
    n_tokens: int, streaming: tuple[int, int | None], packs: bool
) -> None:
    sinks, window = streaming
    n_short = packs if sinks % P else 0
    pages = PagePool(64, page_tokens=P, n_packed=64 * packs, n_short=n_short)
    storage = TokenPages(64, 64 * packs, n_short)
    storage.sinks = sinks
    sequence = Sequence(pages, storage, sinks=sinks, window=window)
    for token in range(n_tokens):
        storage.write(sequence, [token])
    option: Any = "int4-int8" if packs else "bf16"
    found = kv_size(SHAPE, n_tokens, option, sinks=sinks, window=window, page_tokens=P)
    held = pages.counts().used * SHAPE.page_bytes(P, "bf16")
    held += pages.counts(packed=True).used * SHAPE.page_bytes(P, "int4-int8")
    if pages.short is not None:
        held += pages.short.counts().used * SHAPE.page_bytes(sinks % P, "bf16")
    assert found.n_bytes == held
    assert found.n_tokens == sequence.n_cached


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"n_layer": 12, "n_head": 12, "n_embd": 768}, KvShape(12, 12, 12, 64, 64)),
        (
            {"num_hidden_layers": 32, "num_attention_heads": 71, "hidden_size": 4544,
             "multi_query": True},
            KvShape(32, 71, 1, 64, 64),
        ),
        (
            {"num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
             "hidden_size": 256, "attn_layer_period": 8, "attn_layer_offset": 4},
            KvShape(1, 4, 2, 64, 64),
        ),
        (
            {"text_config": {"num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 32,
             "layer_types": ["linear_attention", "full_attention"] * 2}},
            KvShape(2, 4, 4, 32, 32),
        ),
        (
            {"num_hidden_layers": 2, "num_attention_heads": 16, "kv_lora_rank": 512,
             "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
            KvShape(2, 16, 16, 192, 128, latent_dim=576),
        ),
        (
            {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64,
             "sliding_window": 4096},
            KvShape(2, 4, 4, 16, 16, (4096, 4096)),
        ),
    ],
    ids=["gpt2", "multi-query", "jamba", "hybrid", "latent", "sliding"],
)  # fmt: skip
def test_configurations_in_other_words(config: dict[str, Any], expected: KvShape) -> None:
    assert read_shape(config) == expected


def test_a_configuration_without_heads() -> None:
    with pytest.raises(ConfigError, match="none of num_attention_heads"):
        read_shape({"num_hidden_layers": 2})


def test_long_caches_are_two_and_a_half_times_smaller() -> None:
    shape = KvShape(32, 32, 8, 128, 128)
    bf16, packed = (kv_size(shape, 1 << 17, option).n_bytes for option in ("bf16", "int4-int8"))
    assert bf16 / packed > 2.5


def test_the_command() -> None:
    done = CliRunner().invoke(app, ["kv-size", "pocket", "--tokens", "100000", "--json"])
    said = json.loads(done.stdout)
    shape = KvShape(12, 6, 2, 64, 64)
    expected = sizes(shape, 100_000, sinks=4, window=4096, page_tokens=64)
    assert [row["n_bytes"] for row in said["options"]] == [size.n_bytes for size in expected]
    assert [row["option"] for row in said["options"]] == ["fp32", "bf16", "int4-int8"] * 2
    table = CliRunner().invoke(app, ["kv-size", "pocket", "--tokens", "100000"]).stdout
    assert "586.1 MiB" in table
    assert "3 times as much" in table
    for wrong in (["nowhere"], ["pocket", "--page-tokens", "48"], ["pocket", "--window", "2"]):
        refused = CliRunner().invoke(app, ["kv-size", *wrong, "--tokens", "10"])
        assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
