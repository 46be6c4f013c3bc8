"""The vectors of a memory's rows as the thread grows: a little is embedded in the turn, much beside it.

The index beside the history, where there is one, gets the very vectors that are searched here: no text is
embedded a second time for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING

from contextkit.background import Background
from contextkit.embedding import Embedder
from contextkit.errors import ContextKitError
from contextkit.recall.rows import Row
from contextkit.recall.shelf import Shelf
from contextkit.recall.states import states_of
from contextkit.recall.states_vectors import StatesVectors
from contextkit.recall.table import Table
from contextkit.recall.vectors import Pace, PlainVectors

if TYPE_CHECKING:
    from contextkit.vector_index import VectorIndex

AT_ONCE = 2000
"""Rows at the most that a turn embeds, or writes into the index; of more, none: they are left to a job."""
PAGE = 1000
"""Rows that a job writes into the index between two looks at whether it is to stop."""


class Embedded:
    """Vectors of one table's rows. Not safe to share without a lock.

    `beside` makes all vectors that are missing and returns, or stops when it is asked to: the job that is
    given to `background`. Without a background every row is embedded at once.
    """

    def __init__(
        self,
        shelf: Shelf,
        embedder: Embedder,
        index: VectorIndex | None,
        background: Background | None,
        beside: Callable[[Event], None],
    ) -> None:
        self._shelf, self._embedder, self._index = shelf, embedder, index
        self.background, self._beside = background, beside
        self._job = ("recall", shelf.record.tenant, shelf.record.name)
        self._is_running = self._was_left = False
        self._refused: Exception | None = None
        """Why the index took no rows."""
        self.vectors: PlainVectors | StatesVectors | None = None
        """Of the first rows of the table, mostly all."""
        self._n_indexed = 0
        """Rows whose vectors are final and in the index."""
        self._indexed_at = 0
        """How many rows there were when the index was last found to have all."""

    def begin(self) -> None:
        """Forget the vectors of a table whose rows stand elsewhere now; the memo has them."""
        self.vectors = None
        self._n_indexed = self._indexed_at = 0

    def refresh(self, table: Table) -> list[str]:
        """Bring vectors and index up to the table as far as a turn may wait; what there is to be told."""
        if self._is_running:
            return [self._behind(table, is_left=True)]
        most = None if self.background is None else AT_ONCE
        try:
            if not self._extend(table, Pace(most)):
                return [self._leave(table)]
        except ContextKitError as error:
            return [f"recall: found by words alone: {error}"]
        refused, n_left = self._still_refused(), 0
        if refused is None:
            try:
                n_left = self._write(table, most)
            except ContextKitError as error:
                self._refused, self._was_left, refused = error, False, error
        if refused is not None:
            return [f"recall: the vector index is behind: {refused}"]
        if n_left:
            self._leave(table)
            return [f"recall: {n_left:,} passages are not in the vector index yet"]
        return []

    def complete(self, table: Table, pace: Pace) -> None:
        """Bring vectors and index up to the table however long it takes, unless it is stopped.

        Raises `EmbeddingFailed`, `StoreError`.
        """
        while self._extend(table, pace) and not pace.is_stopped and self._write(table, PAGE):
            pass

    def _extend(self, table: Table, pace: Pace) -> bool:
        if self.vectors is None:
            self.vectors = self._vectors_of(self._embedder)
        texts = self._texts_of(table.rows)
        return self.vectors.extend(table.rows, table.joins, table.sessions, texts, pace)

    def _write(self, table: Table, most: int | None) -> int:
        """Write what the index lacks; returns how many rows it lacks still."""
        vectors, index = self.vectors, self._index
        if index is None or vectors is None or self._indexed_at == len(table):
            return 0
        first, n_final = self._n_indexed, vectors.n_final
        n_done = first + index.sync(
            self._shelf.record,
            [row.id for row in table.rows[first:]],
            vectors.dense.vectors[first:],
            n_final=n_final - first,
            limit=most,
        )
        self._n_indexed = min(n_done, n_final)
        if n_done == len(table):
            self._indexed_at = n_done
        return len(table) - n_done

    def _still_refused(self) -> Exception | None:
        """Why the index took no rows, until a job has found that it does: no turn waits for it twice."""
        if self.background is None or self._refused is None:
            return None
        if self._was_left:
            self._refused = self.background.failure(self._job)
        if self._refused is not None:
            self._submit()
        return self._refused

    def _leave(self, table: Table) -> str:
        """Let the rest be done beside the conversation; says so, or why it was not done before."""
        failure = self.background.failure(self._job) if self.background else None
        is_left = self._submit()
        if failure is not None:
            return f"recall: found by words alone: {failure}"
        return self._behind(table, is_left=is_left)

    def _submit(self) -> bool:
        """Start the job; whether it was started."""
        self._was_left = self._is_running = True
        is_left = self.background is not None and self.background.submit(self._job, self._run)
        if not is_left:
            self._is_running = False
        return is_left

    def _run(self, stop: Event) -> None:
        try:
            if self._refused is not None and self._index is not None:
                self._index.probe(self._shelf.record)
            else:
                self._beside(stop)
        finally:
            self._is_running = False

    def _behind(self, table: Table, *, is_left: bool) -> str:
        n_rows = len(table)
        n_missing = n_rows - (len(self.vectors.dense) if self.vectors else 0)
        how = "they are made in the background" if is_left else "ask again later"
        if not n_missing:
            return f"recall: passages are not in the vector index yet; {how}"
        share = f"{n_missing:,} of {n_rows:,}"
        return f"recall: found by words alone: {share} passages have no vector yet; {how}"

    def _vectors_of(self, embedder: Embedder) -> PlainVectors | StatesVectors:
        states = states_of(embedder)
        if states is None:
            return PlainVectors(self._shelf.store, self._shelf.record, embedder)
        return StatesVectors(self._shelf.store, self._shelf.record, states)

    def _texts_of(self, rows: Sequence[Row]) -> Callable[[Sequence[int]], list[str]]:
        return lambda numbers: self._shelf.said([rows[number] for number in numbers])
