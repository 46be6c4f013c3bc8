"""Picking: the likeliest a token first, side by side in all sentences as one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from contextkit.compression.picking import MOST_WORDS, Stretches, fill, pick, segments_of

LONGEST = 4


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Chances, costs, sentences of ten units, clauses of four, one unit in six protected."""
    draw = np.random.default_rng(seed)
    sentence = np.arange(n) // 10
    clause = np.cumsum(np.arange(n) % 10 % 4 == 0) - 1
    chances = draw.exponential(size=(n, LONGEST)).astype(np.float32) ** 3
    for length in range(LONGEST):
        last = np.minimum(np.arange(n) + length, n - 1)
        chances[(np.arange(n) + length >= n) | (sentence[last] != sentence), length] = 0
    return (
        chances,
        draw.integers(1, 5, n).astype(float),
        sentence,
        clause,
        draw.random(n) < 1 / 6,
    )


def different(cost: np.ndarray) -> np.ndarray:
    """No word twice."""
    return np.arange(1, len(cost) + 1)


def one_after_the_other(
    chances: np.ndarray,
    cost: np.ndarray,
    sentence: np.ndarray,
    clause: np.ndarray,
    protected: np.ndarray,
    target: float,
) -> np.ndarray:
    """The same greedy choice, told plainly: one pick at a time in each sentence."""
    worth = np.zeros(len(cost))
    for number in np.unique(sentence):
        best = np.inf
        while True:
            tried: list[tuple[float, int, int, list[int]]] = []
            for first in np.flatnonzero(sentence == number).tolist():
                for length in range(LONGEST):
                    own = [*range(first, first + length + 1)]
                    if chances[first, length] == 0 or all(worth[own] > 0):
                        continue
                    opened = {*clause[own].tolist()}
                    held = [i for i in range(len(cost)) if protected[i] and clause[i] in opened]
                    fresh = [i for i in {*own, *held} if worth[i] == 0]
                    tokens = float(cost[fresh].sum())
                    if tokens <= target:
                        tried.append(
                            (float(chances[first, length]) / tokens, -first, -length, fresh)
                        )
            if not tried:
                break
            rate, _, _, fresh = max(tried, key=lambda each: each[:3])
            best = min(best, rate)
            worth[fresh] = best
    return worth


@pytest.mark.parametrize("seed", range(5))
def test_side_by_side_is_one_after_the_other(seed: int) -> None:
    chances, cost, sentence, clause, protected = drawn(40, seed)
    total = float(cost.sum())
    found = pick(chances, cost, segments_of(sentence), clause, protected, different(cost), total)
    assert found == pytest.approx(
        one_after_the_other(chances, cost, sentence, clause, protected, total), rel=1e-5
    )


@pytest.mark.parametrize("seed", range(5))
def test_what_is_given_up_early_would_not_have_fitted(seed: int) -> None:
    chances, cost, sentence, clause, protected = drawn(400, seed)
    total = float(cost.sum())
    target = 0.2 * total
    some = pick(chances, cost, segments_of(sentence), clause, protected, different(cost), target)
    every = pick(chances, cost, segments_of(sentence), clause, protected, different(cost), total)
    assert np.count_nonzero(some) < np.count_nonzero(every)
    order = np.argsort(-every, kind="stable")
    within = order[np.cumsum(cost[order]) <= target]
    assert np.mean(some[within] > 0) > 0.95


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_what_is_taken_fits_and_brings_its_clauses_protected_units(share: float) -> None:
    chances, cost, sentence, clause, protected = drawn(300, 9)
    target = share * float(cost.sum())
    worth = pick(chances, cost, segments_of(sentence), clause, protected, different(cost), target)
    filled = fill(worth, chances, cost, clause, protected, target)
    scores, inside = np.array(filled.scores), np.array(filled.inside)
    taken = scores > 500
    assert 0.8 * target < cost[taken].sum() <= target
    assert inside[taken].all()
    opened = np.isin(clause, clause[taken])
    assert taken[opened & protected].all()
    assert cost[inside].sum() >= target


def test_long_sentences_are_filled_in_parts() -> None:
    segment = segments_of(np.array([0] * (2 * MOST_WORDS + 1) + [1] * 3))
    assert np.bincount(segment).tolist() == [MOST_WORDS, MOST_WORDS, 1, 3]
    stretches = Stretches.of(np.ones((len(segment), 2), dtype=np.float32), segment)
    assert (segment[stretches.first] == segment[stretches.last]).all()


def test_what_costs_more_than_the_target_is_never_picked() -> None:
    chances = np.array([[0.5], [0.1]], dtype=np.float32)
    place = np.zeros(2, dtype=np.intp)
    cost = np.array([9.0, 2.0])
    worth = pick(chances, cost, place, np.arange(2), np.zeros(2, bool), different(cost), 4.0)
    assert worth.tolist() == [0.0, pytest.approx(0.05)]


def test_what_is_protected_comes_at_the_highest_worth_of_its_clause() -> None:
    """A clause that reaches over two segments is opened by whichever pick of a round is worth more."""
    n = 2 * MOST_WORDS
    chances = np.zeros((n, LONGEST), dtype=np.float32)
    chances[3, 0], chances[MOST_WORDS + 3, 0] = 0.8, 0.1
    protected = np.zeros(n, dtype=bool)
    protected[10] = True
    sentence = np.zeros(n, dtype=np.intp)
    cost, segment = np.ones(n), segments_of(sentence)
    worth = pick(chances, cost, segment, sentence, protected, different(cost), float(n))
    assert worth[3] == worth[10] > worth[MOST_WORDS + 3] > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_same_words_count_once_where_they_are_likeliest(seed: int) -> None:
    chances, _, sentence, _, _ = drawn(200, seed)
    spoken = np.random.default_rng(seed).integers(0, 4, 200)
    every = Stretches.of(chances, segments_of(sentence))
    groups: dict[tuple[int, ...], list[tuple[float, int]]] = {}
    for first, last, chance in zip(every.first, every.last, every.chance, strict=True):
        said = tuple(spoken[first : last + 1].tolist())
        while said and said[-1] == 0:  # an end that says nothing makes no other words
            said = said[:-1]
        groups.setdefault(said, []).append((float(chance), -int(first)))
    once = every.once(spoken)
    told = [*zip(once.chance.tolist(), (-once.first).tolist(), strict=True)]
    wanted = [(sum(chance for chance, _ in group), max(group)[1]) for group in groups.values()]
    assert len(told) == len(wanted) < len(every.first)
    for (chance, at), (total, place) in zip(sorted(told), sorted(wanted), strict=True):
        assert (chance, at) == (pytest.approx(total), place)


def test_a_name_that_returns_is_paid_for_once() -> None:
    """Its second mention leaves room for what is said once."""
    chances = np.array([[0.4], [0.3], [0.2], [0.1]], dtype=np.float32)
    spoken, alone = np.array([7, 7, 8, 9]), np.arange(4)
    worth = pick(chances, np.ones(4), alone, alone, np.zeros(4, bool), spoken, 4.0)
    assert worth.tolist() == pytest.approx([0.7, 0, 0.2, 0.1])


def test_no_clause_is_opened_at_the_cost_of_what_was_taken() -> None:
    """Whether by a later pick or to fill up: what is protected in it would push the likeliest out."""
    cost, clause = np.ones(12), np.repeat([0, 1, 2], 4)
    protected = np.zeros(12, dtype=bool)
    protected[5:8] = True
    chances = np.zeros((12, LONGEST), dtype=np.float32)
    chances[0, 3], chances[4, 0], chances[8, 0] = 0.9, 0.05, 0.01
    worth = np.zeros(12)
    worth[:4], worth[5:8], worth[4], worth[8] = 0.5, 0.2, 0.1, 0.05
    filled = fill(worth, chances, cost, clause, protected, 5.0)
    inside, taken = np.array(filled.inside), np.array(filled.scores) > 500
    assert np.flatnonzero(taken).tolist() == [0, 1, 2, 3, 8]
    assert inside[clause == 0].all()
    assert not inside[clause == 1].any()
