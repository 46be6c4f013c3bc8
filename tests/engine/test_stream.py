"""Streams: forks, evictions, own windows of layers, models that cannot stream, what is refused."""

from __future__ import annotations

import copy
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contextkit.errors import (
    ConfigError,
    ContextOverflow,
    EngineError,
    NotFinite,
    PoolExhausted,
    UnsupportedModel,
)
from contextkit_backends.local.load import SHIPPED, load_model

pytest.importorskip("torch", reason="the local engine needs torch")
pytest.importorskip("transformers", reason="the local engine needs transformers")

import torch
import transformers

from contextkit_backends.local.engine import Engine

from .architectures import BY_NAME, MIXED, SHAPE, Architecture
from .reference import RotateAtRead

IDS = [(31 * n * n + 7 * n + 3) % 97 for n in range(80)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def llama() -> Any:
    return BY_NAME["llama"].build()


@pytest.fixture(scope="module")
def pocket() -> Any:
    return load_model(SHIPPED / "pocket", device="cpu", dtype="float32", trust_remote_code=False)


@pytest.fixture(scope="module")
def pocket_engine() -> Engine:
    return Engine.load("pocket", device="cpu", pool_tokens=1024)


def load(model: Any, **settings: Any) -> Engine:
    return Engine.load(copy.deepcopy(model), **{"page_tokens": 8, "pool_tokens": 1024, **settings})


def error(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max())


def test_the_pocket_model_answers_as_in_transformers(pocket: Any, pocket_engine: Engine) -> None:
    ids = torch.randint(7, 8192, (1, 150), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        wanted = pocket(ids).logits[0]
    with pocket_engine.stream() as stream:
        parts = [ids[0, :100], ids[0, 100:101], ids[0, 101:]]
        found = torch.cat([stream.extend(part.tolist()) for part in parts])
        assert (stream.position, stream.n_cached) == (150, 150)
    assert found.dtype == torch.float32
    assert error(found, wanted) <= 1e-5 * float(wanted.abs().max())


def test_what_a_stream_holds(llama: Any) -> None:
    engine = load(llama, sinks=4, window=12)
    with engine.stream() as stream:
        for n, token in enumerate(IDS[:40], start=1):
            stream.extend([token])
            assert (stream.position, stream.n_cached) == (n, min(n, 16))
            counts = engine.stats()
            assert counts.n_pages - counts.n_free_pages - counts.n_cached_pages <= 4
    counts = engine.stats()
    assert counts.n_free_pages + counts.n_cached_pages == counts.n_pages


@pytest.mark.parametrize("window", [None, 12])
def test_forks_are_independent(llama: Any, window: int | None) -> None:
    engine = load(llama, window=window)
    alone = load(llama, window=window)
    with engine.stream() as trunk, alone.stream() as a, alone.stream() as b:
        trunk.extend(IDS[:43])
        with trunk.fork() as branch:
            left = [trunk.extend(IDS[43:50]), trunk.extend(IDS[50:51])]
            right = [branch.extend(IDS[60:61]), branch.extend(IDS[61:80])]
        found = torch.cat([*left, trunk.extend(IDS[51:70])])
        wanted = a.extend([*IDS[:43], *IDS[43:70]])[43:]
        assert error(found, wanted) <= 1e-5
        assert error(torch.cat(right), b.extend([*IDS[:43], *IDS[60:80]])[43:]) <= 1e-5


@pytest.mark.parametrize(
    ("start", "stop", "then"), [(5, 21, []), (0, 17, []), (16, 40, []), (9, 20, [(9, 44)])]
)
def test_an_eviction_is_as_if_the_rest_stood_together(
    llama: Any, start: int, stop: int, then: list[tuple[int, int]]
) -> None:
    reference = RotateAtRead(llama, BY_NAME["llama"], 0, None)
    engine = load(llama)
    with engine.stream() as stream:
        stream.extend(IDS[:43])
        reference.extend(IDS[:43])
        stream.evict(start, stop)
        assert engine.stats().avoided_tokens == 43 - stop
        reference.drop(range(start, stop))
        assert stream.n_cached == 43 - (stop - start)
        found = [stream.extend(IDS[43:50]), stream.extend(IDS[50:51])]
        wanted = [reference.extend(IDS[43:51])]
        for first, last in then:
            stream.evict(first, last)
            reference.drop(range(first, last))
            found.append(stream.extend(IDS[51:60]))
            wanted.append(reference.extend(IDS[51:60]))
    assert error(torch.cat(found), torch.cat(wanted)) <= 1e-5


def test_an_eviction_in_a_window(llama: Any) -> None:
    reference = RotateAtRead(llama, BY_NAME["llama"], 4, 24)
    with load(llama, sinks=4, window=24).stream() as stream:
        stream.extend(IDS[:40])
        reference.extend(IDS[:40])
        stream.evict(4, 30)
        reference.drop(range(4, 30))
        found, wanted = stream.extend(IDS[40:50]), reference.extend(IDS[40:50])
        assert stream.n_cached == 24
    assert error(found, wanted) <= 1e-5


@pytest.mark.parametrize("window", [None, 12])
def test_layers_with_windows_of_their_own(window: int | None) -> None:
    architecture = Architecture("gemma2", {**MIXED, "head_dim": 16, "sliding_window": 7})
    model = architecture.build()
    reference = RotateAtRead(model, architecture, 4, window)
    with load(model, sinks=4, window=window).stream() as stream:
        found = torch.cat([stream.extend(IDS[:30]), stream.extend(IDS[30:31])])
        wanted = reference.extend(IDS[:31])
        if window is None:
            with torch.inference_mode():
                assert error(model(torch.tensor([IDS[:31]])).logits[0], wanted) <= 1e-5
            stream.evict(3, 27)
            reference.drop(range(3, 27))
        found = torch.cat([found, stream.extend(IDS[31:40])])
    assert error(found, torch.cat([wanted, reference.extend(IDS[31:40])])) <= 1e-5


def test_a_prefix_is_not_read_again(llama: Any) -> None:
    engine = load(llama)
    with engine.stream("acme") as first, engine.stream("other") as stranger:
        wanted = first.extend(IDS[:50])[-1:]
        assert error(stranger.extend(IDS[:50], every=False), wanted) <= 1e-5
        assert engine.stats().prefix_hit_tokens == 0
        with engine.stream("acme") as second:
            assert error(second.extend(IDS[:50], every=False), wanted) <= 1e-5
        assert engine.stats().prefix_hit_tokens == engine.stats().avoided_tokens == 48
        assert engine.stats().prefill_tokens == 102


@pytest.mark.parametrize("rope", ["dynamic", "longrope", "yarn", "linear", "llama3"])
def test_scaled_rotations_are_chosen_once(rope: str) -> None:
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8} if rope == "longrope" else {}
    llama3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if rope == "llama3" else {}
    original = {} if rope in ("dynamic", "linear") else {"original_max_position_embeddings": 16}
    parameters = {
        "rope_type": rope,
        "rope_theta": 10000.0,
        "factor": 4.0,
        **original,
        **factors,
        **llama3,
    }
    model = Architecture(
        "llama",
        {"rope_parameters": parameters, "max_position_embeddings": 16 if rope == "dynamic" else 64},
    ).build()
    with torch.inference_mode():
        # The model's own choice for a text as long as the context: 4 + 35 + 1.
        wanted = model(torch.tensor([IDS[:40]])).logits[0]
    with load(model, sinks=4, window=35).stream() as stream:
        found = torch.cat([stream.extend(IDS[:10]), stream.extend(IDS[10:40])])
        assert error(found, wanted) <= 1e-5
        stream.extend(IDS[:10])


def test_transformers_generates_over_the_pages(pocket: Any, pocket_engine: Engine) -> None:
    engine = pocket_engine
    ids = torch.randint(7, 8192, (3, 12), generator=torch.Generator().manual_seed(6))
    mask = torch.ones_like(ids)
    mask[0, :5], mask[2, :11] = 0, 0
    options = {"max_new_tokens": 4, "do_sample": False, "attention_mask": mask}
    with engine.cache(3) as cache:
        found = engine.model.generate(ids, past_key_values=cache, **options)
    assert torch.equal(found, pocket.generate(ids, **options))
    options = {"max_new_tokens": 4, "do_sample": False, "num_beams": 3}
    with engine.cache(3) as cache:
        found = engine.model.generate(ids[:1], past_key_values=cache, **options)
    assert torch.equal(found, pocket.generate(ids[:1], **options))
    counts = engine.stats()
    assert counts.n_free_pages + counts.n_cached_pages == counts.n_pages


def test_alibi_streams_through_a_sink_layer() -> None:
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    engine = Engine.load(copy.deepcopy(model), sinks=2, window=6)
    assert engine.stats().fallback == "sink layer"
    assert "attention interface" in engine.stats().why or "position_ids" in engine.stats().why
    with engine.stream() as stream, torch.inference_mode():
        found = stream.extend(IDS[:30])
        assert stream.n_cached == 8
        cache: Any = None
        for n, token in enumerate(IDS[:30]):
            out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
            assert error(out.logits[0], found[n : n + 1]) <= 1e-5
            cache = out.past_key_values
            if n >= 8:
                for layer in cache.layers:
                    layer.keys = torch.cat((layer.keys[..., :2, :], layer.keys[..., -6:, :]), -2)
                    layer.values = torch.cat(
                        (layer.values[..., :2, :], layer.values[..., -6:, :]), -2
                    )
        with stream.fork() as branch:
            stream.extend([1, 2, 3])
            again = branch.extend([1, 2, 3])
        assert error(again, again) == 0


@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_learned_positions_are_dense_or_refused(name: str) -> None:
    torch.manual_seed(0)
    extra = {"word_embed_proj_dim": 64, "ffn_dim": 64} if name == "opt" else {"n_positions": 64}
    config = transformers.AutoConfig.for_model(
        name, **{**SHAPE, "max_position_embeddings": 64, **extra}
    )
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(UnsupportedModel, match="added to its tokens"):
        load(model, window=12)
    engine = load(model)
    assert "added to its tokens" in engine.stats().why
    with engine.stream() as stream, torch.inference_mode():
        wanted = model(torch.tensor([IDS[:40]])).logits[0]
        assert (
            error(torch.cat([stream.extend(IDS[:33]), stream.extend(IDS[33:40])]), wanted) <= 1e-5
        )
        with pytest.raises(UnsupportedModel, match="evict"):
            stream.evict(2, 5)
        with pytest.raises(ContextOverflow, match="64 positions"):
            stream.extend(IDS[:25])
        stream.extend(IDS[:24])


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("gptj", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 64}),
        ("mamba", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    ],
)
def test_others_stay_dense_and_say_so(name: str, extra: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, vocab_size=97, **extra)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(UnsupportedModel, match="window"):
        load(model, window=12)
    with pytest.raises(UnsupportedModel, match="kv"):
        load(model, kv="int4-int8")
    engine = load(model)
    assert engine.stats().fallback == "transformers' cache, dense"
    assert engine.stats().why
    with engine.stream() as stream, torch.inference_mode():
        wanted = model(torch.tensor([IDS[:20]])).logits[0]
        parts = [stream.extend(IDS[:11]), *(stream.extend([token]) for token in IDS[11:20])]
        assert error(torch.cat(parts), wanted) <= 1e-4
        with pytest.raises(UnsupportedModel, match="evict"):
            stream.evict(2, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sinks": 8, "window": 7}, "window: 7"),
        ({"sinks": -1}, "sinks: -1"),
        ({"window": 0}, "window: 0"),
        ({"page_tokens": 48}, "page_tokens: 48"),
        ({"kv": "int2"}, "kv: 'int2'"),
        ({"pool_tokens": 5}, "pool_tokens: 5"),
        ({"chunk_tokens": 0}, "chunk_tokens: 0"),
        ({"dtype": "float33"}, "dtype: 'float33'"),
    ],
)
def test_settings_that_are_wrong(llama: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(llama, **settings)


def test_checkpoints_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not shipped"):
        Engine.load("nothing-of-that-name")
    unknown = tmp_path / "unknown"
    shutil.copytree(SHIPPED / "pocket", unknown, ignore=shutil.ignore_patterns("README.md"))
    config = (unknown / "config.json").read_text()
    (unknown / "config.json").write_text(config.replace('"llama"', '"llamango"'))
    with pytest.raises(ConfigError, match="unknown could not be loaded"):
        Engine.load(unknown)
    (unknown / "config.json").write_text(config)
    weights = unknown / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(ConfigError, match="could not be loaded"):
        Engine.load(unknown)
    weights.rename(unknown / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="a pickle"):
        Engine.load(unknown)


def test_what_does_not_fit_fails_alone(llama: Any) -> None:
    engine = load(llama, pool_tokens=64, chunk_tokens=16)
    with engine.stream() as stream:
        wanted = stream.extend(IDS[:20])
        with pytest.raises(PoolExhausted) as caught:
            stream.extend([1] * 100)
        assert (caught.value.asked_tokens, caught.value.available_tokens) == (100, 40)
        assert stream.position == 20
        found = stream.extend(IDS[20:30])
        with load(llama).stream() as other:
            assert error(torch.cat([wanted, found]), other.extend(IDS[:30])) <= 1e-5
    assert engine.stats().n_free_pages + engine.stats().n_cached_pages == 8


def test_what_a_stream_refuses(llama: Any) -> None:
    engine = load(llama)
    stream = engine.stream()
    with pytest.raises(EngineError, match="no tokens"):
        stream.extend([])
    with pytest.raises(EngineError, match="takes token ids, not 'one'"):
        stream.extend("one")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="token 97 at place 1"):
        stream.extend([3, 97])
    with pytest.raises(EngineError, match="evict"):
        stream.evict(0, 3)
    stream.close()
    stream.close()
    with pytest.raises(EngineError, match="stream 1 is closed"):
        stream.extend([3])


def test_a_failed_forward_gives_its_pages_back(llama: Any) -> None:
    engine = load(llama)
    with engine.stream() as stream:
        wanted = stream.extend(IDS[:20])
        broken = engine.model.lm_head.register_forward_hook(_out_of_memory)
        with pytest.raises(EngineError, match="out of memory while reading 20 tokens"):
            stream.extend(IDS[20:40])
        broken.remove()
        with load(llama).stream() as other:
            found = torch.cat([wanted, stream.extend(IDS[20:40])])
            assert error(found, other.extend(IDS[:40])) <= 1e-5


def _out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("of 80 GiB")


def test_broken_logits_are_named(llama: Any) -> None:
    engine = load(llama)
    with engine.stream() as stream:
        stream.extend(IDS[:5])
        with torch.no_grad():
            engine.model.get_input_embeddings().weight[11] = torch.nan
        with pytest.raises(NotFinite, match=r"stream 1: the logits at position 7 "):
            torch.cat([stream.extend([token]) for token in (1, 2, 11, 3)])
    with engine.stream() as stream:
        # Nothing of it is left in the pages.
        assert bool(torch.isfinite(stream.extend(IDS[:10])).all())


def test_streams_of_several_threads(llama: Any) -> None:
    engine = load(llama, window=12)

    def read(first: int) -> Any:
        with engine.stream() as stream:
            return torch.cat([stream.extend(IDS[n : n + 5]) for n in range(first, first + 30, 5)])

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(read, range(0, 40, 10)))
    assert all(error(logits, read(10 * n)) <= 1e-5 for n, logits in enumerate(found))


def test_a_model_that_means_more_than_it_says_falls_back(llama: Any) -> None:
    model = copy.deepcopy(llama)

    def secret(module: Any, _: Any, output: Any) -> Any:
        return (output[0] + float(module.config._attn_implementation == "eager"), output[1])

    for layer in model.model.layers:
        layer.self_attn.register_forward_hook(secret)
    engine = Engine.load(model)
    assert engine.stats().fallback == "transformers' cache, dense"
    assert "differ" in engine.stats().why
    with pytest.raises(UnsupportedModel, match="cache"):
        engine.cache()


def test_an_unknown_rotation_is_dense_or_refused() -> None:
    model = Architecture("hunyuan_v1_dense", {"head_dim": 16}).build()
    with torch.no_grad():
        for layer in model.model.layers:
            norm = layer.self_attn.query_layernorm  # behind the rotation, so it does not commute
            norm.weight.copy_(torch.linspace(0.5, 2.0, 16))
    with pytest.raises(UnsupportedModel, match="could not be found out"):
        load(model, window=12)
    with load(model).stream() as stream, torch.inference_mode():
        wanted = model(torch.tensor([IDS[:30]])).logits[0]
        assert error(stream.extend(IDS[:30]), wanted) <= 1e-5


def test_the_model_alone_says_to_whom_it_belongs(llama: Any) -> None:
    engine = load(llama)
    with pytest.raises(EngineError, match="belongs to an engine"):
        engine.model(torch.tensor([[1, 2]]))
