"""The searchable memory of one thread: its log and its documents, indexed as they grow.

The history is the truth; terms and vectors are kept in its memo, so that opening a thread again cuts no
text into words and embeds none. Where the embedder fails, words alone are searched and `notes` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, RLock
from typing import TYPE_CHECKING, cast

import numpy as np

from contextkit.background import Background
from contextkit.embedding import Embedder
from contextkit.errors import ConfigError, ContextKitError, InvalidMessage
from contextkit.recall.embedded import Embedded
from contextkit.recall.grown import Grown
from contextkit.recall.hits import Hit, ranked
from contextkit.recall.lexical import count
from contextkit.recall.passages import Passage
from contextkit.recall.question import Question
from contextkit.recall.search import Telling, look, search
from contextkit.recall.shelf import Shelf
from contextkit.recall.states import Asked
from contextkit.recall.states_vectors import StatesVectors
from contextkit.recall.stretches import is_meeting
from contextkit.recall.table import Table
from contextkit.recall.vectors import NO_HURRY, Pace, PlainVectors
from contextkit.recall.words import terms
from contextkit.store import HistoryStore, ThreadRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.embedding import Vectors
    from contextkit.vector_index import VectorIndex


class Memory:
    """Finds passages of a thread. Safe to use from several threads at once.

    With a `background` a search does not wait until a long thread is embedded: that is done beside it, and
    until it is done words alone are searched. Without one the first search embeds all.
    """

    def __init__(
        self,
        store: HistoryStore,
        record: ThreadRecord,
        embedder: Embedder | None = None,
        index: VectorIndex | None = None,
        background: Background | None = None,
    ) -> None:
        self._shelf = Shelf(store, record)
        self._grown = Grown(self._shelf)
        self._embedder = embedder
        self._embedded: Embedded | None = None
        if embedder is not None:

            def beside(stop: Event) -> None:
                Memory(store, record, embedder, index).catch_up(Pace(stop=stop))

            self._embedded = Embedded(self._shelf, embedder, index, background, beside)
        self._lock = RLock()
        self._notes: list[str] = []
        self._told: dict[str, dict[str, int]] = {}

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
            self._read()
            self._notes = self._embedded.refresh(self._table) if self._embedded else []

    def catch_up(self, pace: Pace = NO_HURRY) -> None:
        """Take in all that the history has gained, and embed it, however long that takes.

        `pace` may stop it after a step; what was made by then is kept. Raises `EmbeddingFailed`,
        `StoreError`.
        """
        with self._lock:
            self._read()
            if self._embedded is not None:
                self._embedded.complete(self._table, pace)

    def wait_for_vectors(self) -> None:
        """From now on a search embeds itself what is missing: for a process that asks only once."""
        with self._lock:
            if self._embedded is not None:
                self._embedded.background = None

    def row_ids(self) -> list[str]:
        """The names of all passages, as an index beside the history has them; embeds nothing."""
        with self._lock:
            self._read()
            return [row.id for row in self._table.rows]

    def row_vectors(
        self, advance: Callable[[int], None] = lambda n: None
    ) -> tuple[list[str], Vectors, int]:
        """The names of all passages, their vectors, and how many of those will not change any more.

        `advance` is told how many more are done. Raises `ConfigError` without an embedder,
        `EmbeddingFailed`, `StoreError`.
        """
        with self._lock:
            self.catch_up(Pace(advance=advance))
            vectors = self._embedded.vectors if self._embedded else None
            if vectors is None:
                raise ConfigError("embedder: vectors need one, such as embedder: {kind: minilm}")
            ids = [row.id for row in self._table.rows]
            return ids, vectors.dense.vectors.copy(), vectors.n_final

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
        if not isinstance(cast("object", query), str):
            kind = type(query).__name__
            raise InvalidMessage(f"search: the question {query!r} is not text but of type {kind}")
        with self._lock:
            self.refresh()
            if not len(self._table) or not query.strip():
                return []
            question = self._question(query)
            vectors, asked = self._ask(question)
            matcher = vectors.matches if isinstance(vectors, StatesVectors) else None
            allowed, known = self._allowed(before, shown), self._allowed(before, ())
            dense = None if vectors is None else vectors.dense
            tellings = [self._telling(each) for each in beside]
            found = search(
                self._table, question, allowed, known, top, dense, asked, matcher, tellings
            )
            passages = self._shelf.passages([self._table.rows[row] for row in found.rows])
            return ranked(found, passages, beside)[:top]

    def rankings(
        self, query: str, *, top: int = 50, before: int | None = None
    ) -> dict[str, list[str]]:
        """Handles by words alone and by vectors alone, best first; `dense` only where there are vectors."""
        with self._lock:
            self.refresh()
            if not len(self._table) or not query.strip():
                return {"lexical": []}
            question = self._question(query)
            vectors, asked = self._ask(question)
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

    @property
    def _table(self) -> Table:
        return self._grown.table

    def _read(self) -> None:
        """Bring the table up to the history."""
        if self._grown.refresh() and self._embedded is not None:
            self._embedded.begin()

    def _question(self, query: str) -> Question:
        table = self._table
        return Question.of(query, table.names, of_meeting=is_meeting(table))

    def _ask(self, question: Question) -> tuple[PlainVectors | StatesVectors | None, Asked | None]:
        """The vectors and the question as the embedder reads it, where both are to be had."""
        vectors = self._embedded.vectors if self._embedded else None
        if vectors is None or len(vectors.dense) != len(self._table):
            return None, None
        try:
            return vectors, vectors.ask(question.readings)
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


def _best_first(scores: NDArray[np.float32], allowed: NDArray[np.intp]) -> list[int]:
    order = allowed[np.argsort(-scores[allowed], kind="stable")]
    return [int(row) for row in order]
