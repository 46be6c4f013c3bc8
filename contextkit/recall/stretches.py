"""Questions that a stretch of talk answers, not a sentence: summaries, opinions, what a meeting was about.

For those a passage counts more where what is said around it fits as well; in a meeting any question
is of that kind.
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

IN_TALK = ((12, 2.0),)
IN_MEETINGS = tuple((reach, 2.0) for reach in (6, 12, 24, 60))
"""Rows to each side, of the same exchange, that count for a stretch; what they count. In a meeting a
stretch may be a short remark or half an hour: every length counts alike."""
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


def around(scores: Scores, sessions: Sequence[int], reaches: Sequence[tuple[int, float]]) -> Scores:
    """What each row gains from the rows around it, `[n_rows]`."""
    numbers, places = np.asarray(sessions), np.arange(len(scores))
    begins = np.searchsorted(numbers, numbers, side="left")
    ends = np.searchsorted(numbers, numbers, side="right")
    sums = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    gained = np.zeros(len(scores), np.float32)
    for reach, weight in reaches:
        first, last = np.maximum(begins, places - reach), np.minimum(ends, places + reach + 1)
        means = ((sums[last] - sums[first]) / (last - first)).astype(np.float32)
        gained += weight * standard(means)
    return gained
