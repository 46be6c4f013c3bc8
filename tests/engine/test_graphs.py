"""Captured decode steps on a GPU: the tokens of the model's own modules, also when things go wrong."""

from __future__ import annotations

from typing import Any

import pytest

from contextkit.errors import NotFinite, PoolExhausted
from tests.engine.small import small_llama
from tests.engine.test_runner import NO_END, free, prompt_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from contextkit_backends.local.engine import Engine  # noqa: E402

PROMPTS = [prompt_of(n) for n in (5, 33, 48, 47, 90)]


def load(kind: str = "Llama", **settings: Any) -> Engine:
    model = small_llama()
    if kind != "Llama":
        config = getattr(transformers, f"{kind}Config")(**model.config.to_diff_dict())
        torch.manual_seed(1)
        model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 4.0 if parameter.ndim > 1 else 1.0
    return Engine.load(model.cuda(), **{"pool_tokens": 1024, "page_tokens": 16, **settings})


def answers(engine: Engine, prompts: list[list[int]], n: int = 60, **more: Any) -> list[Any]:
    found = engine.generate(prompts, max_new_tokens=n, eos=NO_END, **more)
    return [one.token_ids for one in found]


def without_graphs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(engine.runner, "_graphs", lambda rows: None)
    return engine


@pytest.mark.parametrize("window", [None, 32])
@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3", "Granite", "Cohere"])
def test_equals_the_models_own_modules(
    kind: str, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(kind, window=window)
    plain = answers(without_graphs(load(kind, window=window), monkeypatch), PROMPTS)
    assert answers(engine, PROMPTS, salt="together") == plain
    assert [answers(engine, [prompt], salt="alone")[0] for prompt in PROMPTS] == plain
    graphs = engine.runner.graphs
    assert graphs is not None
    assert (graphs.fused is not None) == (kind != "Cohere")
    assert free(engine) == engine.stats().n_pages


def test_draws_and_quantised_pages_go_through_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {"temperature": 1.2, "top_p": 0.9, "seed": 4}
    for kv in ("bf16", "int4-int8"):
        plain = without_graphs(load(kv=kv, window=64), monkeypatch)
        assert answers(load(kv=kv, window=64), PROMPTS, **drawn) == answers(plain, PROMPTS, **drawn)


def test_replies_of_different_length_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = without_graphs(load(), monkeypatch)
    graphed = load()
    for eos in (frozenset({4, 16}), frozenset(range(0, 97, 7))):
        found, wanted = (e.generate(PROMPTS, max_new_tokens=50, eos=eos) for e in (graphed, plain))
        assert [one.token_ids for one in found] == [one.token_ids for one in wanted]
        assert len({len(one.token_ids) for one in found}) > 1
    assert free(graphed) == graphed.stats().n_pages


def test_full_pools_and_leaving_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = answers(without_graphs(load(), monkeypatch), PROMPTS[:3], 40)
    small = load(pool_tokens=128)
    assert answers(small, PROMPTS[:3], 40) == plain
    with pytest.raises(PoolExhausted):
        answers(small, PROMPTS[:1], 300)
    pieces = small.stream_generate(PROMPTS[0], max_new_tokens=90, eos=NO_END)
    for _ in range(5):
        next(pieces)
    pieces.close()
    assert free(small) == small.stats().n_pages
    assert answers(small, PROMPTS[:3], 40) == plain


def test_broken_logits_in_a_graph_are_named() -> None:
    engine = load()
    healthy = answers(engine, PROMPTS[:2], 20)
    token = healthy[0][10]
    with torch.no_grad():
        engine.model.get_input_embeddings().weight[token] = float("nan")
    found = engine.generate(
        [PROMPTS[0]], max_new_tokens=20, eos=NO_END, keep_errors=True, salt="anew"
    )
    assert isinstance(found[0].error, NotFinite)
    assert len(found[0].token_ids) == healthy[0].index(token) + 1
