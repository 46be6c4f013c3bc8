"""Stretches of talk: what stands around a row counts, in a meeting at every length alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.recall.ranking import standard
from contextkit.recall.stretches import IN_MEETINGS, around


def bump(n_rows: int, *stretches: tuple[int, int, float]) -> np.ndarray:
    scores = np.zeros(n_rows, np.float32)
    for middle, reach, height in stretches:
        scores[middle - reach : middle + reach + 1] = height
    return scores


def test_in_a_meeting_a_short_exchange_is_a_stretch_and_so_is_a_long_one() -> None:
    scores = bump(300, (60, 3, 5.0), (200, 24, 1.0))
    gained = around(scores, [0] * 300, IN_MEETINGS)
    assert gained[60] > gained[200] > 1
    alone = bump(300, (60, 0, 5.0), (200, 24, 1.0))
    gained = around(alone, [0] * 300, IN_MEETINGS)
    assert gained[200] > gained[60]


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.integers(0, 9),
)
def test_the_mean_of_the_rows_around_stays_within_the_exchange(
    values: list[float], begins: list[bool], reach: int
) -> None:
    scores = np.asarray(values, np.float32)
    sessions = np.cumsum(begins[: len(values)]).tolist()
    means = [
        np.mean(
            [
                value
                for other, value in enumerate(values)
                if abs(other - row) <= reach and sessions[other] == sessions[row]
            ]
        )
        for row in range(len(values))
    ]
    expected = 1.5 * standard(np.asarray(means, np.float32))
    if np.std(means) > 1e-3:
        assert around(scores, sessions, [(reach, 1.5)]) == pytest.approx(expected, abs=1e-2)
