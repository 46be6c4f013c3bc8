"""Evidence recall at a budget: how often all evidence for a question is among what a method chose.

Two measures. `all`: the share of questions with every evidence item whole in the budget. `tokens`: the
mean share of the evidence's tokens that is there, for evidence of whole stretches (QMSum). Intervals
are 95 % of bootstrap samples over questions; questions about one conversation are alike, so they are on
the narrow side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contextkit.evals.methods import Chosen, Method
from contextkit.evals.values import Asked, Pool
from contextkit.tokens.rank_files import load_encoding

BUDGETS = (512, 1024, 2048, 4096)
RESAMPLES = 2000
WHOLE = 0.999


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question under one method: what of its evidence is in each budget."""

    data_set: str
    pool: str
    category: str
    method: str
    has_all: tuple[bool, ...]
    tokens: tuple[float, ...]
    """Share of the evidence's tokens, at each budget."""
    ms: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A share in percent with its interval."""

    value: float
    low: float
    high: float


def run(
    data_set: str,
    pools: Sequence[Pool],
    methods: Sequence[Method],
    budgets: Sequence[int] = BUDGETS,
    *,
    encoding: str = "cl100k_base",
    advance: Callable[[str], None] = lambda what: None,
) -> Iterator[Outcome]:
    """Every question of every pool under every method; `advance` is told what is being done."""
    encode = load_encoding(encoding).encode_ordinary

    def tokens_of(text: str) -> int:
        return len(encode(text))

    for pool in pools:
        sizes = [tokens_of(item.text) for item in pool.items]
        for method in methods:
            advance(f"{data_set} {pool.name}: {method.name}")
            choose = method.prepare(pool, tokens_of)
            for question in pool.questions:
                begun = time.perf_counter()
                chosen = choose(question, budgets)
                ms = 1000 * (time.perf_counter() - begun)
                yield _outcome(data_set, pool, method, question, chosen, sizes, ms)


def _outcome(
    data_set: str,
    pool: Pool,
    method: Method,
    question: Asked,
    chosen: Sequence[Chosen],
    sizes: Sequence[int],
    ms: float,
) -> Outcome:
    total = max(1, sum(sizes[item] for item in question.evidence))
    return Outcome(
        data_set,
        pool.name,
        question.category,
        method.name,
        tuple(all(each.get(i, 0.0) >= WHOLE for i in question.evidence) for each in chosen),
        tuple(
            sum(sizes[i] * each.get(i, 0.0) for i in question.evidence) / total for each in chosen
        ),
        ms,
    )


def figure(shares: Sequence[float], *, seed: int = 1) -> Figure:
    """The mean in percent with its bootstrap interval."""
    values = np.asarray(shares, np.float64) * 100
    chance = np.random.default_rng(seed)
    picked = chance.integers(0, len(values), (RESAMPLES, len(values)))
    means = np.sort(np.asarray(values[picked].mean(axis=1), np.float64))
    low, high = (float(means[int(share * (RESAMPLES - 1))]) for share in (0.025, 0.975))
    return Figure(float(values.mean()), low, high)


def measure_of(data_set: str) -> str:
    """The measure that a data set is usually reported in."""
    return "tokens" if data_set == "QMSum" else "all"


def shares(outcomes: Sequence[Outcome], budget_index: int, measure: str) -> list[float]:
    """One number a question, for `figure`."""
    if measure == "tokens":
        return [outcome.tokens[budget_index] for outcome in outcomes]
    return [float(outcome.has_all[budget_index]) for outcome in outcomes]
