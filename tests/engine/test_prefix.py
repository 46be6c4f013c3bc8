"""Prefix sharing: what is known is not computed again, and only what is truly the same is shared."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the local engine needs torch")
pytest.importorskip("transformers", reason="the local engine needs transformers")

import torch

from contextkit_backends.local.engine import Engine
from contextkit_backends.local.engine.pages import PagePool
from contextkit_backends.local.engine.prefix import Entry, PrefixIndex, as_bytes
from contextkit_backends.local.engine.sequence import Sequence

from .architectures import BY_NAME
from .token_pages import P, TokenPages


class Shelf:
    """An engine's bookkeeping without a model."""

    def __init__(
        self, n_pages: int = 64, *, sinks: int = 0, window: int | None = None, n_packed: int = 0
    ) -> None:
        self.sinks, self.window = sinks, window
        self.pages = PagePool(n_pages, page_tokens=P, n_packed=n_packed)
        self.storage = TokenPages(n_pages, n_packed)
        self.index = PrefixIndex(self.pages, {"model": "a"}, sinks=sinks, window=window)

    def read(self, token_ids: list[int], salt: str = "") -> tuple[Sequence, int]:
        """A sequence that has read these tokens, and how many were known."""
        sequence = Sequence(self.pages, self.storage, sinks=self.sinks, window=self.window)
        known = self.index.open(sequence, token_ids, salt)
        for start in range(known, len(token_ids), 3):
            self.storage.write(sequence, token_ids[start : start + 3])
        return sequence, known


def known_of(shelf: Shelf, token_ids: list[int], salt: str = "") -> int:
    sequence, known = shelf.read(token_ids, salt)
    sequence.close()
    return known


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=24), min_size=1, max_size=6),
    st.sampled_from([(0, None), (0, 4), (1, 5), (4, 9), (5, 7)]),
    st.sampled_from([0, 64]),
)
def test_a_known_prefix_reads_as_if_it_had_been_computed(
    prompts: list[list[int]], streaming: tuple[int, int | None], n_packed: int
) -> None:
    sinks, window = streaming
    shelf = Shelf(sinks=sinks, window=window, n_packed=n_packed)
    seen: set[tuple[int, ...]] = set()
    for prompt in prompts:
        expected = max(
            (n for n in range(0, len(prompt), P) if not n or tuple(prompt[:n]) in seen), default=0
        )
        sequence, known = shelf.read(prompt)
        assert known == expected
        found, now = shelf.storage.read(sequence), len(prompt)
        for j in range(now):
            if j < sequence.head or j >= sequence.low(now):
                assert found[j] == prompt[j]
        sequence.close()
        seen |= {tuple(prompt[:n]) for n in range(P, now + 1, P)}


def test_the_last_token_is_always_computed() -> None:
    shelf = Shelf()
    assert known_of(shelf, [1] * 2 * P) == 0
    assert known_of(shelf, [1] * 2 * P) == P
    assert known_of(shelf, [1] * (2 * P + 1)) == 2 * P


def test_a_running_sequence_shares_its_pages_at_once() -> None:
    shelf = Shelf()
    first, _ = shelf.read([7] * 9)
    second, known = shelf.read([7] * 9)
    assert known == 2 * P
    assert second.tail_pages[:2] == first.tail_pages[:2]
    assert second.tail_pages[2] != first.tail_pages[2]


def test_tenants_do_not_share() -> None:
    shelf = Shelf()
    prompt = [5] * 12
    assert known_of(shelf, prompt, "one") == 0
    assert known_of(shelf, prompt, "other") == 0
    assert known_of(shelf, prompt, "one") == 2 * P


@pytest.mark.parametrize(
    "other",
    [
        {"identity": {"model": "b"}},
        {"identity": {"model": "a", "kv": "int4-int8"}},
        {"sinks": 4, "window": 16},
        {"sinks": 0, "window": 16},
        {"page_tokens": 2 * P},
    ],
    ids=lambda other: "-".join(other),
)
def test_everything_a_page_depends_on_is_in_the_key(other: dict[str, object]) -> None:
    said = {"identity": {"model": "a"}, "sinks": 4, "window": 12, "page_tokens": P}

    def root(identity: dict[str, str], sinks: int, window: int, page_tokens: int) -> bytes:
        pages = PagePool(4, page_tokens=page_tokens)
        return PrefixIndex(pages, identity, sinks=sinks, window=window).root("salt").key

    assert root(**said) == root(**said)  # type: ignore[arg-type]
    assert root(**said) != root(**{**said, **other})  # type: ignore[arg-type]


def test_tokens_are_compared_where_keys_agree() -> None:
    shelf = Shelf()
    sequence, _ = shelf.read([1] * P + [2])
    (entry,) = shelf.index._by_key.values()
    shelf.index._by_key[entry.key] = Entry(entry.key, as_bytes([9] * P), entry.page)
    assert known_of(shelf, [1] * P + [2]) == 0
    sequence.close()


def test_a_page_taken_back_is_forgotten() -> None:
    shelf = Shelf(n_pages=4)
    assert known_of(shelf, [1] * 13) == 0
    assert shelf.pages.counts().cached == 3
    assert known_of(shelf, [2] * 13) == 0
    assert known_of(shelf, [1] * 13) == 0
    assert shelf.pages.n_evicted > 0
    assert shelf.index.stats().n_entries == shelf.pages.counts().cached


def test_the_end_of_a_prefix_is_evicted_before_its_beginning() -> None:
    shelf = Shelf(n_pages=4)
    known_of(shelf, [1] * 13)
    known_of(shelf, [2] * 5)
    assert known_of(shelf, [1] * 13) == 2 * P


def test_a_window_needs_only_the_pages_it_still_sees() -> None:
    shelf = Shelf(n_pages=8, sinks=2, window=6)
    prompt = [n % 7 for n in range(40)]
    assert known_of(shelf, prompt) == 0
    assert shelf.index.stats().n_entries < 10
    sequence, known = shelf.read(prompt)
    assert known == 36
    assert sequence.n_cached == 8
    assert [*map(shelf.storage.read(sequence).get, (0, 1, *range(34, 40)))] == [
        prompt[j] for j in (0, 1, *range(34, 40))
    ]


def test_after_an_eviction_pages_are_no_longer_those_of_the_text() -> None:
    shelf = Shelf()
    sequence, _ = shelf.read([1] * 9)
    sequence.evict(2, 6)
    shelf.storage.write(sequence, [1] * 8)
    sequence.close()
    assert known_of(shelf, [1] * 17) == 2 * P


def test_a_fork_goes_on_publishing_its_own_history() -> None:
    shelf = Shelf()
    first, _ = shelf.read([1] * 6)
    second = first.fork()
    shelf.storage.write(first, [2] * 3)
    shelf.storage.write(second, [3] * 3)
    assert known_of(shelf, [1] * 6 + [2] * 3) == 2 * P
    assert known_of(shelf, [1] * 6 + [3] * 3) == 2 * P


def test_counts_of_hits() -> None:
    shelf = Shelf()
    known_of(shelf, [1] * 9)
    known_of(shelf, [1] * 9)
    stats = shelf.index.stats()
    assert (stats.n_lookups, stats.asked_tokens, stats.hit_tokens, stats.n_entries) == (2, 18, 8, 2)


@pytest.mark.parametrize(
    "settings",
    [{}, {"sinks": 4, "window": 40}, {"kv": "int4-int8"}],
    ids=["dense", "sinks", "int4"],
)
def test_logits_after_a_known_prefix_are_those_after_reading_it(settings: dict[str, Any]) -> None:
    model = BY_NAME["llama"].build()
    engine = Engine.load(model, page_tokens=16, pool_tokens=512, chunk_tokens=16, **settings)
    token_ids = torch.randint(0, 97, (100,), generator=torch.Generator().manual_seed(1)).tolist()
    with engine.stream() as stream:
        read = stream.extend(token_ids, every=False)
    before = engine.stats().prefill_tokens
    with engine.stream() as stream:
        known = stream.extend(token_ids, every=False)
        assert stream.position == 100
    assert torch.allclose(known, read, atol=1e-5)
    assert engine.stats().prefill_tokens == before + 4
    assert engine.stats().prefix_hit_tokens == 96
    with engine.stream(salt="another tenant") as stream:
        stream.extend(token_ids, every=False)
    assert engine.stats().prefix_hit_tokens == 96
