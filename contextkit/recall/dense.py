"""Vectors of rows, compared with a query's: each row in the light of the rows beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.arrays import Growing, after, before

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

BESIDE = 0.7
"""What the row before and the row behind count in a row's window."""


class Dense:
    """Unit vectors of rows with a weight each, and which rows go on from the one before.

    The window of a row is its own vector and a part of its neighbours', weighted by how much they say. Its
    cosine with a query is made of the rows' own products and the window's length, which is kept.
    """

    def __init__(self, dimension: int) -> None:
        self._vectors = Growing(np.float32, dimension)
        self._weights = Growing(np.float32)
        self._joins = Growing(np.float32)
        self._lengths = Growing(np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def vectors(self) -> Vectors:
        return self._vectors.view

    def add(self, vectors: Vectors, weights: Vectors, joins: Vectors) -> None:
        """Append rows: unit vectors, weights, 1 where a row goes on from the one before it and else 0."""
        if not len(vectors):
            return
        start = max(len(self) - 1, 0)
        self._vectors.extend(vectors)
        self._weights.extend(weights)
        self._joins.extend(joins)
        edge = max(start - 1, 0)
        near = self._weights.view[edge:, None] * self._vectors.view[edge:]
        joined = self._joins.view[edge:, None]
        windows = near + BESIDE * (before(near, joined) + after(near, joined))
        lengths = np.linalg.norm(windows[start - edge :], axis=1)
        self._lengths.cut(start)
        self._lengths.extend(np.maximum(lengths, 1e-6))

    def cut(self, n_rows: int) -> None:
        """Forget the rows from `n_rows` on."""
        for array in (self._vectors, self._weights, self._joins, self._lengths):
            array.cut(n_rows)

    def score(self, query: Vectors) -> Vectors:
        """The cosine of every row's window with the query, `[n_rows]`."""
        joins = self._joins.view
        own = (self._vectors.view @ query) * self._weights.view
        windows = own + BESIDE * (before(own, joins) + after(own, joins))
        return np.asarray(windows / self._lengths.view, np.float32)
