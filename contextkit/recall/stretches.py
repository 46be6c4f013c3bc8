"""Questions that a stretch of talk answers, not a sentence: summaries, opinions, what a meeting was about.

For those a passage counts more where what is said around it fits as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.ranking import standard
from contextkit.recall.table import Table
from contextkit.recall.words import stem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

REACH = 12
"""Rows to each side, of the same exchange, that count for a stretch."""
WEIGHT = 2.0
SPEAKERS, ROWS = 3, 150
"""An exchange of so many speakers that is so long without a pause is a meeting."""

BROAD = frozenset(
    stem(
        """
        agree attitude conclusion decide decision describe disagree discuss discussion explain opinion
        overview proposal propose recommend say suggest suggestion summarise summarize summary think
        thought view
        """.split()
    )
)


def is_broad(words: Sequence[str]) -> bool:
    """Whether a question, in stemmed words, asks about a stretch of talk."""
    return not BROAD.isdisjoint(words)


def is_meeting(table: Table) -> bool:
    """Whether the rows are of many speakers who talk without pause."""
    if len(table.names) < SPEAKERS or not table.sessions:
        return False
    n_sessions = table.sessions[-1] + 1
    return len(table) >= ROWS * n_sessions


def around(scores: Scores, sessions: Sequence[int]) -> Scores:
    """What each row gains from the rows around it, `[n_rows]`."""
    numbers = np.asarray(sessions)
    places = np.arange(len(scores))
    first = np.maximum(np.searchsorted(numbers, numbers, side="left"), places - REACH)
    last = np.minimum(np.searchsorted(numbers, numbers, side="right"), places + REACH + 1)
    sums = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    means = ((sums[last] - sums[first]) / (last - first)).astype(np.float32)
    return np.asarray(WEIGHT * standard(means), np.float32)
