"""Choosing tokens: equal to transformers' own filters, and each row for itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import ConfigError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from contextkit_backends.local.engine.sampling import (  # noqa: E402
    Draws,
    Sampling,
    choose,
    log_probability,
    unusable,
)

VOCABULARY = 50
some_settings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    top_p=st.sampled_from([1.0, 0.9, 0.5, 0.05]),
    top_k=st.sampled_from([0, 1, 5, 1000]),
    min_p=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)


def filtered(logits: Any, one: Sampling) -> Any:
    """Probabilities [vocabulary] by transformers' logits processors."""
    scores = transformers.TemperatureLogitsWarper(one.temperature)(None, logits[None])
    if one.top_k:
        scores = transformers.TopKLogitsWarper(one.top_k)(None, scores)
    scores = transformers.TopPLogitsWarper(one.top_p)(None, scores)
    scores = transformers.MinPLogitsWarper(one.min_p)(None, scores)
    return scores.softmax(-1)[0]


class Fixed(Draws):
    """Draws that are all the same number."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self._number = number

    def next(self) -> float:
        return self._number


@settings(max_examples=60)
@given(some_settings, st.integers(0, 10**6))
def test_the_numbers_line_is_divided_as_transformers_filters(one: Sampling, seed: int) -> None:
    logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
    if one.greedy:
        assert int(choose(logits[None], [one], [Fixed(0.5)])) == int(logits.argmax())
        return
    n = 400
    numbers = [(i + 0.5) / n for i in range(n)]
    ids = choose(logits.expand(n, -1), [one] * n, [Fixed(number) for number in numbers])
    found = torch.bincount(ids, minlength=VOCABULARY) / n
    assert float((found - filtered(logits, one)).abs().max()) <= 1.5 / n


@settings(max_examples=40)
@given(st.lists(some_settings, min_size=1, max_size=5), st.integers(0, 10**6))
def test_a_row_does_not_depend_on_its_neighbours(many: list[Sampling], seed: int) -> None:
    logits = torch.randn(len(many), VOCABULARY, generator=torch.Generator().manual_seed(seed))
    together = choose(logits, many, [Draws(one.seed) for one in many]).tolist()
    alone = [
        int(choose(row[None], [one], [Draws(one.seed)]))
        for row, one in zip(logits, many, strict=True)
    ]
    assert together == alone


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    one, draws = Sampling(temperature=0.7, seed=5), Draws(5)
    n = 4000
    found = Counter(choose(logits.expand(n, -1), [one] * n, [draws] * n).tolist())
    for token, share in enumerate((logits / 0.7).softmax(-1).tolist()):
        assert abs(found[token] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_ends_of_the_numbers_line_are_tokens_with_a_share(number: float) -> None:
    logits = torch.full((1, VOCABULARY), float("-inf"))
    logits[0, 7], logits[0, 9] = 1.0, 0.0
    token = int(choose(logits, [Sampling(temperature=1.0)], [Fixed(number)]))
    assert token == (7 if number == 0.0 else 9)


def test_broken_rows_are_found() -> None:
    logits = torch.zeros(5, VOCABULARY)
    logits[1, 3] = float("nan")
    logits[2, 3] = float("inf")
    logits[3] = float("-inf")
    logits[4, 3] = float("-inf")
    assert unusable(logits).tolist() == [False, True, True, True, False]


def test_log_probabilities_are_the_models_own() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0]])
    assert float(log_probability(logits, torch.tensor([2]))) == pytest.approx(-1.3862943)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"temperature": -1.0}, "temperature: must be 0 or more, not -1.0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p: must be over 0"),
        ({"top_k": -2}, "top_k: must be 0"),
        ({"min_p": 1.5}, "min_p: must be from 0 to 1"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Sampling(**wrong)
