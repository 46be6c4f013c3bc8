"""The searchable memory of one thread: its log and its documents, indexed as they grow.

The history is the truth; terms and vectors are kept in its memo, so that opening a thread again cuts no
text into words and embeds none. Where the embedder fails, words alone are searched and `notes` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from contextkit.embedding import Embedder, embed_all
from contextkit.errors import ContextKitError
from contextkit.recall.lexical import count
from contextkit.recall.passages import Passage
from contextkit.recall.question import Question
from contextkit.recall.search import Found, Telling, look, search
from contextkit.recall.shelf import Shelf
from contextkit.recall.states import Asked, states_of
from contextkit.recall.table import Table
from contextkit.recall.vectors import PlainVectors, StatesVectors
from contextkit.recall.words import terms
from contextkit.store import HistoryStore, ThreadRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.vector_index import VectorIndex

SYNC_ROWS = 500
"""Rows at the most that one turn writes into the vector index."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found, and why."""

    passage: Passage
    score: float
    rank: int
    """Counted from 1."""
    why: str

    @property
    def handle(self) -> str:
        return self.passage.handle


class Memory:
    """Finds passages of a thread. Safe to use from several threads at once."""

    def __init__(
        self,
        store: HistoryStore,
        record: ThreadRecord,
        embedder: Embedder | None = None,
        index: VectorIndex | None = None,
    ) -> None:
        self._shelf = Shelf(store, record)
        self._embedder, self._index = embedder, index
        self._lock = RLock()
        self._notes: list[str] = []
        self._n_documents = 0
        self._n_entries = 0
        self._n_synced = 0
        self._told: dict[str, dict[str, int]] = {}
        self._begin()

    @property
    def embedder(self) -> Embedder | None:
        """What the vectors are made with; None where words alone are searched."""
        return self._embedder

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong in the latest refresh or search, for a ledger."""
        return tuple(self._notes)

    def __len__(self) -> int:
        """Passages that are indexed."""
        return len(self._table)

    @property
    def n_documents(self) -> int:
        """Documents of the thread."""
        return len(self._shelf.documents())

    def refresh(self) -> None:
        """Take in what the history has gained; cheap where it has gained nothing."""
        with self._lock:
            self._notes = []
            documents = self._shelf.documents()
            if len(documents) != self._n_documents:
                self._begin()
                self._n_documents = len(documents)
                for document in documents:
                    self._table.add(self._shelf.document_rows(document))
            n_entries = self._shelf.n_entries()
            for rows in self._shelf.log_rows(self._n_entries, n_entries):
                self._table.add(rows)
            self._n_entries = n_entries
            self._embed()

    def search(
        self,
        query: str,
        *,
        top: int = 50,
        before: int | None = None,
        shown: Sequence[tuple[int, int]] = (),
        beside: Sequence[Passage] = (),
    ) -> list[Hit]:
        """The likeliest passages for a question, best first; none for a question without words.

        `before`: only entries with `seq < before`. `shown`: ranges of entries that are left out,
        because the call has them already. Chunks of documents are always allowed. `beside`: summaries
        that compete with the passages, in one ranking.
        """
        with self._lock:
            self.refresh()
            if not len(self._table) or not query.strip():
                return []
            question = Question.of(query, self._table.names)
            vectors, asked = self._ask(question.text)
            matcher = vectors.matches if isinstance(vectors, StatesVectors) else None
            allowed, known = self._allowed(before, shown), self._allowed(before, ())
            dense = None if vectors is None else vectors.dense
            tellings = [self._telling(each) for each in beside]
            found = search(
                self._table, question, allowed, known, top, dense, asked, matcher, tellings
            )
            return self._hits(found, beside)[:top]

    def rankings(
        self, query: str, *, top: int = 50, before: int | None = None
    ) -> dict[str, list[str]]:
        """Handles by words alone and by vectors alone, best first; `dense` only where there are vectors."""
        with self._lock:
            self.refresh()
            if not len(self._table) or not query.strip():
                return {"lexical": []}
            question = Question.of(query, self._table.names)
            vectors, asked = self._ask(question.text)
            signals = look(self._table, question, vectors.dense if vectors else None, asked)
            scored = {"lexical": signals.words}
            if signals.meaning is not None:
                scored["dense"] = signals.meaning
            allowed = np.flatnonzero(self._allowed(before, ()))
            rows = self._table.rows
            return {
                name: [rows[i].handle for i in _best_first(scores, allowed)[:top]]
                for name, scores in scored.items()
            }

    def passages(self, handles: Sequence[str]) -> dict[str, list[Passage]]:
        """The passages behind handles of messages or chunks; a long message has several."""
        with self._lock:
            self.refresh()
            wanted = set(handles)
            found: dict[str, list[Passage]] = {}
            for passage in self._shelf.passages(
                [r for r in self._table.rows if r.handle in wanted]
            ):
                found.setdefault(passage.handle, []).append(passage)
            return found

    # -- inner ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._table = Table()
        self._n_documents = 0
        self._n_entries = 0
        self._vectors: PlainVectors | StatesVectors | None = None
        self._n_synced = 0

    def _embed(self) -> None:
        """Bring the vectors up to the rows; where that fails, words alone are searched."""
        if self._embedder is None:
            return
        try:
            if self._vectors is None:
                self._vectors = self._vectors_of(self._embedder)
            table = self._table
            self._vectors.extend(table.rows, table.joins, table.sessions, self._texts)
        except ContextKitError as error:
            self._notes.append(f"recall: found by words alone: {error}")
            return
        if self._index is not None and self._n_synced < len(self._table):
            self._sync(self._index, self._embedder)

    def _vectors_of(self, embedder: Embedder) -> PlainVectors | StatesVectors:
        states = states_of(embedder)
        if states is None:
            return PlainVectors(self._shelf.store, self._shelf.record, embedder)
        return StatesVectors(self._shelf.store, self._shelf.record, states)

    def _texts(self, numbers: Sequence[int]) -> list[str]:
        return self._shelf.said([self._table.rows[number] for number in numbers])

    def _sync(self, index: VectorIndex, embedder: Embedder) -> None:
        """Write the vectors of whole entries and chunks into the index beside the history, some a turn."""
        store, record = self._shelf.store, self._shelf.record
        stop = min(len(self._table), self._n_synced + SYNC_ROWS)
        rows = self._table.rows[self._n_synced : stop]
        whole = [row for row in rows if not row.part or row.start < 0]
        try:
            vectors = embed_all(store, record.tenant, embedder, self._shelf.whole(whole))
            index.sync(record, [row.handle for row in whole], vectors)
        except ContextKitError as error:
            self._notes.append(f"recall: the vector index is behind: {error}")
            return
        self._n_synced = stop
        if behind := len(self._table) - stop:
            self._notes.append(f"recall: {behind} passages are not in the vector index yet")

    def _ask(self, query: str) -> tuple[PlainVectors | StatesVectors | None, Asked | None]:
        """The vectors and the query as the embedder reads it, where both are to be had."""
        if self._vectors is None or len(self._vectors.dense) != len(self._table):
            return None, None
        try:
            return self._vectors, self._vectors.ask(query)
        except ContextKitError as error:
            self._notes.append(f"recall: found by words alone: {error}")
            return None, None

    def _allowed(self, before: int | None, shown: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        starts = self._table.starts
        allowed = np.ones(len(starts), np.bool_)
        if before is not None:
            allowed &= starts < before
        for start, stop in shown:
            allowed &= (starts < start) | (starts >= stop)
        return allowed

    def _telling(self, summary: Passage) -> Telling:
        """A summary as it is weighed: its terms, and the first row of each entry that it tells."""
        counts = self._told.get(summary.text)
        if counts is None:
            counts = self._told[summary.text] = count(terms(summary.text))
        starts, tells = self._table.starts, np.asarray(summary.tells, np.int64)
        at = np.searchsorted(starts, tells)
        known = at < len(starts)
        known[known] = starts[at[known]] == tells[known]
        return Telling(counts, at[known])

    def _hits(self, found: Found, beside: Sequence[Passage]) -> list[Hit]:
        passages = self._shelf.passages([self._table.rows[row] for row in found.rows])
        hits = list(zip(passages, found.scores, found.reasons, strict=True))
        for summary, score in zip(beside, found.told, strict=True):
            hits.append((summary, score, f"a summary of level {summary.level}"))
        hits.sort(key=lambda hit: -hit[1])
        return [
            Hit(passage, score, rank, why) for rank, (passage, score, why) in enumerate(hits, 1)
        ]


def _best_first(scores: NDArray[np.float32], allowed: NDArray[np.intp]) -> list[int]:
    order = allowed[np.argsort(-scores[allowed], kind="stable")]
    return [int(row) for row in order]
