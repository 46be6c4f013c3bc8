"""The vectors of threads in a vector store: written, searched, checked against the history, made again.

A row is a passage as `retrieve` searches it, with the same vector: nothing is embedded for the index alone.
Its id is the thread's id and the handle (`7/m41`, `7/d2.17`; `7/m41#2` for a later part of a long message),
its fields the thread's id and whether the vector is final (the newest passages are read again when others
follow). The history and its memo are the truth: what is missing, wrong or of another embedder is written
again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Protocol

from contextkit import searchable
from contextkit.embedding import Embedder
from contextkit.errors import EmbeddingFailed, StoreError, VectorsMismatch
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
PAGE = 1000
"""Rows that are written at a time."""


class Passages(Protocol):
    """What is indexed of one thread; `Memory` is one."""

    def row_ids(self) -> list[str]:
        """The names of all passages, in their order; embeds nothing."""
        ...

    def row_vectors(self, advance: Callable[[int], None] = ...) -> tuple[list[str], Vectors, int]:
        """Their names, their vectors, how many of those are final; `advance` is told how many are done."""
        ...


class VectorIndex:
    """Brings threads into a vector store and finds them there. Safe to use from several threads.

    `passages_of` gives what is to be indexed of a thread, with its vectors.
    """

    def __init__(
        self,
        history: HistoryStore,
        vectors: VectorStore,
        embedder: Embedder,
        passages_of: Callable[[ThreadRecord], Passages],
    ) -> None:
        self.history, self.vectors, self.embedder = history, vectors, embedder
        self._passages_of = passages_of
        name = getattr(embedder, "states_name", None) or embedder.name
        self._space = VectorSpace(name, embedder.dimension)
        self._written: dict[str, dict[int, set[str]]] = {}
        self._lock = RLock()

    def sync(
        self,
        thread: ThreadRecord,
        ids: Sequence[str],
        vectors: Vectors,
        *,
        n_final: int | None = None,
        limit: int | None = None,
    ) -> int:
        """Write the rows that the store lacks, at most `limit`; returns how many it has, from the first on.

        The vectors of the first `n_final` (of all with None) will not change; the others are written each
        time. A small index of another embedder is dropped and made again as threads are synced; a large
        one raises `VectorsMismatch`. Rows of zeros stand for texts without words and are passed over.
        """
        n_final = len(ids) if n_final is None else n_final
        with self._lock:
            written, n_done = self._known(thread), len(ids)
            taken: list[VectorRow] = []
            final: list[str] = []
            for at, (row_id, vector) in enumerate(zip(ids, vectors, strict=True)):
                if row_id in written or not vector.any():
                    continue
                if len(taken) == limit:
                    n_done = at
                    break
                taken.append(_row(thread, row_id, vector, at < n_final))
                if at < n_final:
                    final.append(row_id)
            self.vectors.upsert(thread.tenant, taken)
            written.update(final)
            return n_done

    def probe(self, thread: ThreadRecord) -> None:
        """Ask the store whether it takes rows of a thread. Raises what `sync` would: `StoreError`."""
        with self._lock:
            self._known(thread)
            self.vectors.count(thread.tenant)

    def search(
        self, thread: ThreadRecord, vector: Sequence[float], *, top_k: int
    ) -> list[tuple[str, float]]:
        """(handle, cosine) of the nearest rows of a thread, best first; a long message has several."""
        hits = self.vectors.search(thread.tenant, vector, top_k=top_k, where={"thread": thread.id})
        return [(hit.id.partition("/")[2].partition("#")[0], hit.score) for hit in hits]

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
        except (StoreError, EmbeddingFailed) as error:
            yield Problem(tenant, "(vectors)", None, str(error))

    def _known(self, thread: ThreadRecord) -> set[str]:
        """The rows of a thread that the store has for good; asked for once."""
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
            fields = {"thread": thread.id, "final": True}
            ids = self.vectors.ids(thread.tenant, where=fields)
            threads[thread.id] = {row_id.partition("/")[2] for row_id in ids}
        return threads[thread.id]

    def _write(self, thread: ThreadRecord, advance: Callable[[int], None] | None) -> int:
        total, n_told = searchable.size(self.history, thread), 0

        def tell(n_rows: int) -> None:
            nonlocal n_told
            if advance is not None and (step := min(n_rows, total - n_told)):
                n_told += step
                advance(step)

        ids, vectors, n_final = self._passages_of(thread).row_vectors(tell)
        rows = [
            _row(thread, row_id, row, at < n_final)
            for at, (row_id, row) in enumerate(zip(ids, vectors, strict=True))
            if row.any()
        ]
        for start in range(0, len(rows), PAGE):
            self.vectors.upsert(thread.tenant, rows[start : start + PAGE])
        tell(total)
        return len(rows)

    def _faults(self, tenant: str, chance: random.Random) -> Iterator[str]:
        threads = self.history.list_threads(tenant)
        expected = {
            _id(thread, row_id): thread
            for thread in threads
            for row_id in self._passages_of(thread).row_ids()
        }
        space = self.vectors.space(tenant)
        if space is None:
            if expected:
                yield f"there is no index for {len(expected)} rows; run `contextkit reindex`"
            return
        if space != self._space:
            yield f"the index is of {space}, configured is {self._space}; run `contextkit reindex`"
            return
        stored = set(self.vectors.ids(tenant))
        missing = self._vectors_of({i: expected[i] for i in expected.keys() - stored})
        for row_ids, what in ((list(missing), "missing"), (stored - expected.keys(), "of nothing")):
            if row_ids:
                first = ", ".join(sorted(row_ids)[:3])
                yield f"{len(row_ids)} rows are {what} ({first}); run `contextkit reindex`"
        held = stored & expected.keys() - set(self.vectors.ids(tenant, where={"final": False}))
        sample = sorted(chance.sample(sorted(held), min(SAMPLE, len(held))))
        yield from self._strangers(tenant, self._vectors_of({i: expected[i] for i in sample}))

    def _strangers(self, tenant: str, sample: dict[str, Vectors]) -> Iterator[str]:
        """Rows of a sample that have another vector than the history's, or are not found by their own."""
        rows = {row.id: row.vector for row in self.vectors.get(tenant, list(sample))}
        wrong: list[str] = []
        lost: list[str] = []
        for row_id, vector in sample.items():
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

    def _vectors_of(self, wanted: dict[str, ThreadRecord]) -> dict[str, Vectors]:
        """The vectors of rows, by id in their order; rows without words have none."""
        found: dict[str, Vectors] = {}
        for thread in {thread.id: thread for thread in wanted.values()}.values():
            ids, vectors, _ = self._passages_of(thread).row_vectors()
            for row_id, row in zip(ids, vectors, strict=True):
                if _id(thread, row_id) in wanted and row.any():
                    found[_id(thread, row_id)] = row
        return dict(sorted(found.items()))


def _id(thread: ThreadRecord, row_id: str) -> str:
    return f"{thread.id}/{row_id}"


def _row(thread: ThreadRecord, row_id: str, vector: Vectors, is_final: bool) -> VectorRow:
    fields = {"thread": thread.id, "final": is_final}
    return VectorRow(_id(thread, row_id), vector.tolist(), fields)
