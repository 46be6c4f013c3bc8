"""The vectors of a memory's rows: made once, kept in the memo, never made again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.embedding import Embedder, embed, embed_all, space_of
from contextkit.recall.dense import Dense
from contextkit.recall.rows import Row
from contextkit.recall.states import Asked
from contextkit.store import HistoryStore, ThreadRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

PAGE = 500
"""Rows whose vectors are read, or made, at a time."""

Texts: TypeAlias = Callable[[Sequence[int]], list[str]]
"""The words of rows, by their numbers."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is embedded in one go."""

    most: int | None = None
    """Rows at the most; where more lack a vector none is made. None: all."""
    stop: Event | None = None
    """Asks to end after the step in work."""
    advance: Callable[[int], None] = lambda n_rows: None
    """Told how many more rows have their vectors."""

    @property
    def is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()


NO_HURRY = Pace()
"""All of them, now."""


class PlainVectors:
    """One vector a row from an embedder that reads each text alone."""

    def __init__(self, store: HistoryStore, record: ThreadRecord, embedder: Embedder) -> None:
        self._store, self._tenant, self._embedder = store, record.tenant, embedder
        self.dense = Dense(embedder.dimension)

    @property
    def n_final(self) -> int:
        """Rows whose vectors stay as they are: all that there are."""
        return len(self.dense)

    def extend(
        self,
        rows: Sequence[Row],
        joins: Vectors,
        sessions: Sequence[int],
        texts: Texts,
        pace: Pace = NO_HURRY,
    ) -> bool:
        """Bring the vectors up to all `rows`, as far as `pace` lets; whether all of them have theirs.

        Raises `EmbeddingFailed`, `ConfigError`.
        """
        for start in range(len(self.dense), len(rows), PAGE):
            if pace.is_stopped:
                return False
            page = rows[start : start + PAGE]
            made, missing = self._load(page)
            if missing:
                if pace.most is not None and len(rows) - start - missing[0] > pace.most:
                    return False
                words = texts([start + at for at in missing])
                made[missing] = embed_all(self._store, self._tenant, self._embedder, words)
            self.dense.add(made, weights_of(page), joins[start : start + len(page)])
            pace.advance(len(page))
        return True

    def _load(self, page: Sequence[Row]) -> tuple[Vectors, list[int]]:
        """The vectors of rows that the memo has, and the places of those that it lacks."""
        kept = self._store.load_memo(
            self._tenant, space_of(self._embedder), [row.key for row in page]
        )
        made = np.zeros((len(page), self._embedder.dimension), np.float32)
        missing: list[int] = []
        for at, row in enumerate(page):
            if len(kept.get(row.key, b"")) == 2 * made.shape[1]:
                made[at] = np.frombuffer(kept[row.key], "<f2")
            else:
                missing.append(at)
        return made, missing

    def ask(self, readings: Sequence[str]) -> Asked:
        """The mean vector of a query's readings. Raises `EmbeddingFailed`."""
        mean = embed(self._embedder, readings, query=True).mean(axis=0)
        return Asked(mean / max(float(np.linalg.norm(mean)), 1e-9))


def weights_of(rows: Sequence[Row]) -> Vectors:
    """What each row weighs in a window: longer ones say more, though not in proportion."""
    return np.sqrt(np.asarray([max(row.n_chars, 1) for row in rows], np.float32))
