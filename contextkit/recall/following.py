"""The second step of a question: from the likeliest passages to those that speak of the same names.

"Who leads the band that wrote Sky?" finds the passage on Sky; what it says of the band leads to the passage
that answers. Names are words written large; the rare ones that the question does not hold itself count.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.ranking import standard
from contextkit.recall.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

STEPS_FROM = 3
"""Passages that are followed."""
RARE = 0.4
"""Names with an idf below this share of the highest there can be lead everywhere."""
MOST = 8.0
"""What one passage can be linked to another, in standard deviations."""
FADE = 1.5
"""A followed passage counts e times less for each so much that it is less likely than the first."""
WEIGHT = 0.6


def follow(
    table: Table, scores: Scores, likeliest: Collection[int], asked: Collection[str]
) -> Scores:
    """What each row gains, `[n_rows]`, for being linked to one of the likeliest rows."""
    lexical = table.lexical
    highest = lexical.idf("")
    linked = np.zeros(len(scores), np.float32)
    first = max((float(scores[row]) for row in likeliest), default=0.0)
    for row in likeliest:
        names = [
            name
            for name in table.rows[row].names
            if name not in asked and lexical.idf(name) > RARE * highest
        ]
        if not names:
            continue
        links = np.minimum(standard(lexical.score(lexical.postings(names))), MOST)
        links[row] = 0
        linked = np.maximum(linked, math.exp((float(scores[row]) - first) / FADE) * links)
    return np.asarray(WEIGHT * linked, np.float32)
