"""The vectors of threads in a vector store: written, searched, checked against the history, made again.

A row's id is the thread's id and the handle (`7/m41`, `7/d2.17`), its field `thread` the thread's id. The
history and its memo are the truth: whatever is missing, wrong or of another embedder is written again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from threading import RLock
from typing import TYPE_CHECKING

from contextkit import searchable
from contextkit.embedding import Embedder, embed_all
from contextkit.errors import StoreError, VectorsMismatch
from contextkit.store import HistoryStore, Problem, ThreadRecord
from contextkit.vectors import VectorRow, VectorSpace, VectorStore

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

SMALL = 2000
"""An index of so many rows that another embedder made is made again without asking."""
SAMPLE = 50
"""Rows of a tenant that a check asks for by their own vectors."""
ALIKE = 0.998
"""Cosine of a row with itself, or with its twins, is at least this."""

LOST_SHARE = 0.1
"""Of a sample, an index that searches approximately may miss so many."""


class VectorIndex:
    """Brings threads into a vector store and finds them there. Safe to use from several threads."""

    def __init__(self, history: HistoryStore, vectors: VectorStore, embedder: Embedder) -> None:
        self.history, self.vectors, self.embedder = history, vectors, embedder
        self._space = VectorSpace(embedder.name, embedder.dimension)
        self._written: dict[str, dict[int, set[str]]] = {}
        self._lock = RLock()

    def sync(
        self,
        thread: ThreadRecord,
        handles: Sequence[str],
        vectors: Vectors,
        *,
        limit: int | None = None,
    ) -> int:
        """Write the rows that the store lacks, at most `limit`; returns how many it lacks still.

        A small index of another embedder is dropped and made again as threads are synced; a large one
        raises `VectorsMismatch`. Rows of zeros stand for texts without words and are passed over.
        """
        with self._lock:
            written = self._known(thread)
            missing = [
                (handle, row)
                for handle, row in zip(handles, vectors, strict=True)
                if handle not in written and row.any()
            ]
            now = missing if limit is None else missing[:limit]
            self.vectors.upsert(thread.tenant, [_row(thread, *each) for each in now])
            written.update(handle for handle, _ in now)
            return len(missing) - len(now)

    def search(
        self, thread: ThreadRecord, vector: Sequence[float], *, top_k: int
    ) -> list[tuple[str, float]]:
        """(handle, cosine) of the nearest rows of a thread, best first."""
        hits = self.vectors.search(thread.tenant, vector, top_k=top_k, where={"thread": thread.id})
        return [(hit.id.partition("/")[2], hit.score) for hit in hits]

    def forget(self, thread: ThreadRecord) -> None:
        """Take a thread's rows out."""
        with self._lock:
            self._written.get(thread.tenant, {}).pop(thread.id, None)
            found = self.vectors.ids(thread.tenant, where={"thread": thread.id})
            self.vectors.delete(thread.tenant, found)

    def rebuild(self, tenant: str, advance: Callable[[int], None] | None = None) -> int:
        """Forget a tenant's rows and write all of them again; returns how many were written.

        `advance` is told how many more entries and chunks are done.
        """
        with self._lock:
            self._written.pop(tenant, None)
            self.vectors.drop(tenant)
            self.vectors.open(tenant, self._space)
        return sum(self._write(thread, advance) for thread in self.history.list_threads(tenant))

    def check(self, tenant: str, *, seed: int = 0) -> Iterator[Problem]:
        """What is wrong with a tenant's index: its space, rows missing or too many, rows not found."""
        try:
            for what in self._faults(tenant, random.Random(seed)):
                yield Problem(tenant, "(vectors)", None, what)
        except StoreError as error:
            yield Problem(tenant, "(vectors)", None, str(error))

    def _known(self, thread: ThreadRecord) -> set[str]:
        """The handles of a thread that the store has; asked for once."""
        threads = self._written.setdefault(thread.tenant, {})
        if thread.id not in threads:
            try:
                self.vectors.open(thread.tenant, self._space)
            except VectorsMismatch:
                if self.vectors.count(thread.tenant) > SMALL:
                    raise
                threads.clear()
                self.vectors.drop(thread.tenant)
                self.vectors.open(thread.tenant, self._space)
            ids = self.vectors.ids(thread.tenant, where={"thread": thread.id})
            threads[thread.id] = {row_id.partition("/")[2] for row_id in ids}
        return threads[thread.id]

    def _write(self, thread: ThreadRecord, advance: Callable[[int], None] | None) -> int:
        n_written = n_told = 0
        for page in searchable.pages(self.history, thread):
            texts = [text for _, text in page]
            rows = embed_all(self.history, thread.tenant, self.embedder, texts)
            filled = [
                _row(thread, handle, row)
                for (handle, _), row in zip(page, rows, strict=True)
                if row.any()
            ]
            self.vectors.upsert(thread.tenant, filled)
            n_written += len(filled)
            n_told += len(page)
            if advance is not None:
                advance(len(page))
        if advance is not None:
            advance(searchable.size(self.history, thread) - n_told)
        return n_written

    def _faults(self, tenant: str, chance: random.Random) -> Iterator[str]:
        expected = dict(self._expected(tenant))
        space = self.vectors.space(tenant)
        if space is None:
            if expected:
                yield f"there is no index for {len(expected)} rows; run `contextkit reindex`"
            return
        if space != self._space:
            yield f"the index is of {space}, configured is {self._space}; run `contextkit reindex`"
            return
        stored = set(self.vectors.ids(tenant))
        missing = self._with_words(tenant, expected, sorted(expected.keys() - stored))
        for row_ids, what in ((missing, "missing"), (stored - expected.keys(), "of nothing")):
            if row_ids:
                first = ", ".join(sorted(row_ids)[:3])
                yield f"{len(row_ids)} rows are {what} ({first}); run `contextkit reindex`"
        yield from self._strangers(tenant, expected, sorted(expected.keys() & stored), chance)

    def _strangers(
        self, tenant: str, texts: dict[str, str], held: list[str], chance: random.Random
    ) -> Iterator[str]:
        """Rows of a sample that are not what the history says, or are not found by their own vectors."""
        sample = sorted(chance.sample(held, min(SAMPLE, len(held))))
        vectors = embed_all(self.history, tenant, self.embedder, [texts[i] for i in sample])
        rows = {row.id: row.vector for row in self.vectors.get(tenant, sample)}
        wrong: list[str] = []
        lost: list[str] = []
        for row_id, vector in zip(sample, vectors, strict=True):
            kept = rows.get(row_id)
            if kept is None or sum(map(float.__mul__, kept, vector.tolist())) < ALIKE:
                wrong.append(row_id)
                continue
            hits = self.vectors.search(tenant, vector.tolist(), top_k=8)
            if all(hit.id != row_id for hit in hits) and any(hit.score < ALIKE for hit in hits):
                lost.append(row_id)
        if wrong:
            yield (
                f"{len(wrong)} of {len(sample)} sampled rows have another vector than their text "
                f"({', '.join(wrong[:3])}); run `contextkit reindex`"
            )
        if len(lost) > LOST_SHARE * len(sample):
            yield (
                f"{len(lost)} of {len(sample)} sampled rows are not found by their own vectors "
                f"({', '.join(lost[:3])}); run `contextkit reindex`. If it stays so, the vectors of "
                f"{self.embedder.name} are too much alike for this index: configure another embedder"
            )

    def _with_words(self, tenant: str, texts: dict[str, str], row_ids: list[str]) -> list[str]:
        """Those whose text has a vector at all."""
        vectors = embed_all(self.history, tenant, self.embedder, [texts[i] for i in row_ids])
        return [row_id for row_id, row in zip(row_ids, vectors, strict=True) if row.any()]

    def _expected(self, tenant: str) -> Iterator[tuple[str, str]]:
        for thread in self.history.list_threads(tenant):
            for page in searchable.pages(self.history, thread):
                yield from ((_id(thread, handle), text) for handle, text in page)


def _id(thread: ThreadRecord, handle: str) -> str:
    return f"{thread.id}/{handle}"


def _row(thread: ThreadRecord, handle: str, vector: Vectors) -> VectorRow:
    return VectorRow(_id(thread, handle), vector.tolist(), {"thread": thread.id})
