"""Windows of vectors and token matches, against slow ones; what is kept says the same as what was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.recall.dense import BESIDE, Dense
from contextkit.recall.states import (
    BLOCK_CHARS,
    BLOCK_ROWS,
    Kept,
    best_matches,
    blocks,
    read_blocks,
    read_query,
    states_of,
)


class Letters:
    """Words are the tokens; the vector of each knows a little of the word before."""

    kind: ClassVar[str] = "letters"
    name, dimension = "letters", 16
    states_name: str | None = "letters/16"
    states_projection = np.eye(16, dtype=np.float32)

    def __init__(self) -> None:
        self.read: list[str] = []

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        raise AssertionError("rows are read in blocks")

    def states(self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> Any:
        self.read += texts
        return [
            [self._span(text, *span) for span in of] for text, of in zip(texts, spans, strict=True)
        ]

    def _span(self, text: str, start: int, stop: int) -> tuple[Any, Any]:
        vectors, places = [], []
        before = np.zeros(16)
        for word in re.finditer(r"\S+", text):
            seed = int.from_bytes(word[0].lower().encode()[:6].ljust(6), "big")
            own = np.random.default_rng(seed).standard_normal(16)
            if start <= word.start() and word.end() <= stop:
                vectors.append(own + 0.2 * before)
                places.append(word.span())
            before = own
        return (
            np.asarray(vectors, np.float32).reshape(-1, 16),
            np.asarray(places, np.int64).reshape(-1, 2),
        )


@given(st.integers(1, 12), st.data())
def test_windows_are_cosines_of_weighted_sums(n_rows: int, data: st.DataObject) -> None:
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    vectors = chance.standard_normal((n_rows, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = chance.uniform(1, 5, n_rows).astype(np.float32)
    joins = (chance.random(n_rows) < 0.6).astype(np.float32)
    joins[0] = 0
    dense = Dense(5)
    cuts = sorted({0, n_rows, *data.draw(st.lists(st.integers(0, n_rows), max_size=3))})
    for start, stop in pairwise(cuts):
        dense.add(vectors[start:stop], weights[start:stop], joins[start:stop])
    again = data.draw(st.integers(0, n_rows))
    dense.cut(again)
    dense.add(vectors[again:], weights[again:], joins[again:])
    query = vectors[0]
    for row, score in enumerate(dense.score(query)):
        window = weights[row] * vectors[row]
        if row and joins[row]:
            window = window + BESIDE * weights[row - 1] * vectors[row - 1]
        if row + 1 < n_rows and joins[row + 1]:
            window = window + BESIDE * weights[row + 1] * vectors[row + 1]
        assert score == pytest.approx(window @ query / np.linalg.norm(window), abs=1e-4)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_best_matches_survive_being_kept(counts: list[int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    units = chance.standard_normal((sum(counts), 8)).astype(np.float32)
    units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-9)
    scales = (np.abs(units).max(axis=1, initial=0) / 127).astype(np.float16)
    values = np.rint(units / np.maximum(scales, 1e-6)[:, None]).clip(-127, 127).astype(np.int8)
    kept = Kept(tuple(counts), scales, values)
    again = Kept.from_bytes(kept.to_bytes())
    query = chance.standard_normal((3, 8)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    found = best_matches(query, again.passages())
    some = best_matches(query, again.passages()[::-1])[::-1]
    at = 0
    for row, count in enumerate(counts):
        best = (units[at : at + count] @ query.T).max(axis=0) if count else np.zeros(3)
        assert found[row] == pytest.approx(best, abs=0.02)
        assert some[row] == pytest.approx(found[row])
        at += count


@given(st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=30), st.data())
def test_full_blocks_stay_as_they_are_when_rows_follow(
    rows: list[tuple[int, bool]], data: st.DataObject
) -> None:
    lengths = [length for length, _ in rows]
    sessions = np.cumsum([int(begins) for _, begins in rows]).tolist()
    keys = [f"k{n}" for n in range(len(rows))]
    whole = list(blocks(lengths, sessions, keys, 0))
    assert [b.start for b in whole[1:]] == [b.stop for b in whole[:-1]]
    assert whole[-1].stop == len(rows)
    for block in whole:
        assert 1 <= block.stop - block.start <= BLOCK_ROWS
        assert len(set(sessions[block.start : block.stop])) == 1
        is_one = block.stop - block.start == 1
        assert is_one or sum(lengths[block.start : block.stop]) <= BLOCK_CHARS
    n_before = data.draw(st.integers(1, len(rows)))
    early = blocks(lengths[:n_before], sessions[:n_before], keys[:n_before], 0)
    full = [block for block in early if block.is_full]
    assert full == whole[: len(full)]


def test_a_block_reads_the_passage_before_it_but_keeps_only_its_own() -> None:
    embedder = Letters()
    pooled, kept = read_blocks(embedder, [["red fox", "blue whale jumps"]], ["the context"])[0]
    assert embedder.read == ["the context\nred fox\nblue whale jumps\n"]
    assert kept.counts == (2, 3)
    assert np.linalg.norm(pooled, axis=1) == pytest.approx([1, 1], abs=1e-3)
    alone = read_blocks(embedder, [["red fox", "blue whale jumps"]], [""])[0][1]
    assert not np.allclose(alone.values[0], kept.values[0], atol=1)


def test_the_words_of_a_question_find_themselves() -> None:
    embedder = Letters()
    kept = read_blocks(embedder, [["red fox", "blue whale"]], [""])[0][1]
    asked = read_query(embedder, ["a whale"])
    assert asked.tokens is not None
    found = best_matches(asked.tokens[1:], kept.passages())
    assert found[1, 0] > 0.9 > found[0, 0] + 0.2


def test_only_some_embedders_have_states() -> None:
    assert states_of(None) is None
    embedder = Letters()
    assert states_of(embedder) == embedder
