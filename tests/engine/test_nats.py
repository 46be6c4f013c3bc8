"""-log p of given tokens: what all logits say, in whatever passes and beside whatever else it is read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from contextkit.errors import ConfigError, PoolExhausted  # noqa: E402
from contextkit_backends.local.engine import Engine  # noqa: E402
from contextkit_backends.local.engine.nats import Told, passes  # noqa: E402

from .architectures import BY_NAME, Architecture  # noqa: E402
from .small import VOCABULARY, small_llama  # noqa: E402

TEXT = st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=40)
MODEL = small_llama()


def load(model: Any = MODEL, **more: Any) -> Engine:
    torch.set_num_threads(1)
    return Engine.load(copy.deepcopy(model), **{"page_tokens": 8, "pool_tokens": 2048, **more})


ENGINES: dict[Any, Engine] = {
    None: load(),
    16: load(window=16),
    "packed": load(window=16, kv="int4-int8"),
}
NEAR = {None: {"atol": 1e-4}, 16: {"atol": 1e-4}, "packed": {"atol": 0.05}}
"""Packed pages are read back when they have filled, which may be sooner in one way than in another."""


def n_held(engine: Engine) -> int:
    stats = engine.stats()
    return stats.n_pages - stats.n_free_pages - stats.n_cached_pages


def by_all_logits(engine: Engine, past: list[int], text: list[int]) -> Any:
    """Of the tokens of `text` but the first one, behind `past`."""
    with engine.stream() as stream:
        if past:
            stream.extend(past)
        said = stream.extend(text).log_softmax(-1)[:-1]
    return -said.gather(1, torch.tensor(text[1:])[:, None])[:, 0]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([None, 16]),
    st.lists(st.tuples(st.one_of(st.just([]), TEXT), TEXT), min_size=1, max_size=6),
)
def test_rows_together_say_what_each_says_alone(
    window: int | None, rows: list[tuple[list[int], list[int]]]
) -> None:
    engine = ENGINES[window]
    sequences = [engine.open_sequence() for _ in rows]
    try:
        past = [Told(s, p) for s, (p, _) in zip(sequences, rows, strict=True) if p]
        assert not past or engine.nats(past).shape == (0,), "what is only read says nothing"
        told = [Told(s, t[:-1], t[1:]) for s, (_, t) in zip(sequences, rows, strict=True)]
        found = engine.nats(told)
    finally:
        for sequence in sequences:
            sequence.close()
    expected = [by_all_logits(engine, past, text) for past, text in rows]
    assert torch.allclose(found, torch.cat(expected), atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([None, 16, "packed"]), st.lists(TEXT, max_size=3), TEXT, TEXT)
def test_what_does_not_stay_leaves_no_trace(
    name: Any, past: list[list[int]], text: list[int], other: list[int]
) -> None:
    engine = ENGINES[name]
    held = n_held(engine)
    sequence = engine.open_sequence()
    read: list[int] = []
    for part in [*past, []]:
        told = Told(sequence, [*part, *text[:-1]], text[1:], len(part))
        read += part
        assert torch.allclose(engine.nats([told]), by_all_logits(engine, read, text), **NEAR[name])
        assert sequence.length == len(read)
    found = engine.nats([Told(sequence, other[:-1], other[1:])])
    assert torch.allclose(found, by_all_logits(engine, read, other), **NEAR[name])
    sequence.close()
    assert n_held(engine) == held


@given(TEXT, st.integers(0, 40), st.integers(1, 12))
def test_the_parts_of_a_text_are_the_text(text: list[int], n_then: int, size: int) -> None:
    whole = Told(None, text, text[len(text) - min(n_then, len(text)) :])
    parts = [whole.part(at, at + size) for at in range(0, len(text), size)]
    assert [t for part in parts for t in part.token_ids] == text
    assert [t for part in parts for t in part.then] == whole.then
    assert all(len(part.then) <= len(part.token_ids) for part in parts)


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(1, 40))
def test_passes_hold_every_text_once_and_no_more_than_they_may(
    lengths: list[int], most: int
) -> None:
    found = passes([Told(None, [0] * n) for n in lengths], most)
    assert sorted(n for group in found for n in group) == [*range(len(lengths))]
    assert all(len(g) == 1 or sum(lengths[n] for n in g) <= most for g in found)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt_neox", "qwen3", "bloom"])
def test_any_model(kind: str) -> None:
    """Caps, a layer's own window, other rotations, and models that do not run on pages."""
    model = (BY_NAME.get(kind) or Architecture(kind)).build()
    engine = load(model)
    texts = [[(7 * n + 3 * m) % VOCABULARY for n in range(10 + 9 * m)] for m in range(3)]
    sequences = [engine.open_sequence() for _ in texts]
    found = engine.nats([Told(s, t[:-1], t[1:]) for s, t in zip(sequences, texts, strict=True)])
    expected = torch.cat([by_all_logits(engine, [], text) for text in texts])
    assert torch.allclose(found, expected, atol=1e-4)


def test_what_cannot_be_read_is_refused_and_leaves_all_as_it_was() -> None:
    engine = load(pool_tokens=64)
    sequence, other = engine.open_sequence(), engine.open_sequence()
    with pytest.raises(ConfigError, match="token 97 at place 2"):
        engine.nats([Told(sequence, [1, 2], [VOCABULARY])])
    with pytest.raises(PoolExhausted):
        engine.nats([Told(sequence, [1] * 40, [1]), Told(other, [1] * 40)])
    assert sequence.length == other.length == 0
    assert engine.stats().n_free_pages == engine.stats().n_pages
    assert engine.nats([Told(sequence, [1] * 40, [1]), Told(other, [1] * 8)]).shape == (1,)
