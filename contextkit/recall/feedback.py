"""What the likeliest messages have in common tells what else belongs to the answer.

Pseudo-relevance feedback in the manner of Rocchio 1971, on vectors: the mean of the messages found first,
the likelier ones more, is a second query. It brings the other items of a list and the other ways to say it.
Chunks of documents have no part in it: where facts are put together from several texts it leads astray.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.ranking import standard
from contextkit.recall.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

FIRST = 8
"""Messages at the most that are taken to belong to the answer."""
WEIGHT = 0.4


def resemble(
    table: Table,
    vectors: NDArray[np.float32],
    scores: Scores,
    likeliest: Sequence[int],
    rows: NDArray[np.intp],
    sample: NDArray[np.intp],
) -> Scores:
    """What each row gains for its likeness to the likeliest, `[n_rows]`.

    Only `rows` are looked at, and measured against the `sample` among them; other messages gain as little
    as the least of those, chunks nothing.
    """
    is_message = table.starts >= 0
    first = np.asarray([row for row in likeliest if is_message[row]], np.intp)
    if not len(first):
        return np.zeros(len(scores), np.float32)
    odds = np.exp(scores[first] - scores[first].max())
    mean = odds @ vectors[first]
    found = np.full(len(scores), np.nan, np.float32)
    found[rows] = vectors[rows] @ mean
    likeness = standard(found, sample)
    gained = np.nan_to_num(likeness, nan=float(np.nanmin(likeness)))
    return np.asarray(WEIGHT * gained * is_message, np.float32)
