"""BM25 against a slow one written from the formula, however the rows come in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.recall import lexical
from contextkit.recall.lexical import K1, SESSION_B, B, Lexical, count

ROWS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=30)


def slow(texts: list[list[str]], query: list[str], b: float) -> list[float]:
    n, mean = len(texts), sum(map(len, texts)) / len(texts)
    scores: list[float] = []
    for text in texts:
        score = 0.0
        for term in dict.fromkeys(query):
            frequency = sum(term in other for other in texts)
            idf = math.log(1 + (n - frequency + 0.5) / (frequency + 0.5))
            tf = text.count(term)
            if tf:
                score += idf * tf * (K1 + 1) / (tf + K1 * (1 - b + b * len(text) / mean))
        scores.append(score)
    return scores


@given(ROWS, st.lists(st.sampled_from("abcdefghij"), max_size=5), st.data())
def test_scores_are_those_of_the_formula(
    rows: list[list[str]], query: list[str], data: st.DataObject
) -> None:
    sessions = sorted(
        data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    )
    sessions = [sorted(set(sessions)).index(s) for s in sessions]
    cut = data.draw(st.integers(0, len(rows)))
    tail = data.draw(st.sampled_from([0, 5, 8192]))
    index = Lexical()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, "TAIL", tail)
        index.add([count(row) for row in rows[:cut]], sessions[:cut])
        index.postings(query)
        index.add([count(row) for row in rows[cut:]], sessions[cut:])
        postings = index.postings(query)
    assert index.score(postings) == pytest.approx(slow(rows, query, B), abs=1e-4)
    joined = [
        [term for row, at in zip(rows, sessions, strict=True) if at == session for term in row]
        for session in range(max(sessions) + 1)
    ]
    expected = slow(joined, query, SESSION_B) if any(joined) else [0.0] * len(joined)
    assert index.score_sessions(postings) == pytest.approx(expected, abs=1e-4)


def test_of_very_many_terms_the_rarest_are_looked_up() -> None:
    index = Lexical()
    index.add([count([f"t{n}" for n in range(500)]), count([f"t{n}" for n in range(400)])], [0, 0])
    postings = index.postings([f"t{n}" for n in range(500)])
    assert len(postings) == lexical.MOST_TERMS
    assert sum(len(rows) == 1 for _, rows, _ in postings) == 100


def test_an_empty_index_scores_nothing() -> None:
    index = Lexical()
    assert index.postings(["a"]) == []
    assert index.score([]).shape == (0,)
    assert index.score_sessions([]).shape == (0,)
    assert np.isfinite(index.idf("a"))
