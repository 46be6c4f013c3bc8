"""What every store asks of what it is to keep beside a log: that it fits together, before any is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from contextkit.documents import Chunk, Document
from contextkit.errors import StoreError
from contextkit.store import Kept, StoredTurn, StoredView, Tile
from contextkit.stores.refusals import check_chunk_texts
from contextkit.summary import Summary

Whole: TypeAlias = StoredView | StoredTurn | Summary | Tile | tuple[Document, list[Chunk]]


def checked(kept: Iterable[Kept], n_entries: int) -> Iterator[Whole]:
    """All of it in its order, documents with their chunks, one at a time.

    Raises `StoreError` for what does not belong to a log of `n_entries`: turns and documents that are
    missing or twice, chunks that are not those of their document, summaries in force with a gap.
    """
    checks = _Checks(n_entries)
    document: tuple[Document, list[Chunk]] | None = None
    for each in kept:
        if isinstance(each, Chunk):
            if document is None or each.number != len(document[1]):
                raise StoreError(f"chunk {each.number} has no document, or is not its next chunk")
            document[1].append(each)
            continue
        if document is not None:
            yield _complete(document)
            document = None
        checks.check(each)
        if isinstance(each, Document):
            document = each, []
        else:
            yield each
    if document is not None:
        yield _complete(document)


def _complete(document: tuple[Document, list[Chunk]]) -> tuple[Document, list[Chunk]]:
    about, chunks = document
    if len(chunks) != about.n_chunks:
        raise StoreError(f"document {about.handle}: {len(chunks)} of {about.n_chunks} chunks came")
    check_chunk_texts(about, chunks)
    return document


class _Checks:
    """What came so far, as far as what comes next has to follow it."""

    def __init__(self, n_entries: int) -> None:
        self._n_entries = n_entries
        self._last_turn = self._last_document = 0
        self._digests: set[str] = set()
        self._made: set[tuple[int, int, int]] = set()
        self._covered: int | None = None
        self._has_view = False

    def check(self, each: StoredView | StoredTurn | Summary | Tile | Document) -> None:
        if isinstance(each, StoredTurn):
            follows = each.number == self._last_turn + 1
            _need(follows, f"turn {each.number} does not follow turn {self._last_turn}")
            self._last_turn = each.number
            self._reach(each.n_entries, f"turn {each.number}")
        elif isinstance(each, StoredView):
            _need(each.version > 0 and not self._has_view, "the view comes once, from version 1 on")
            self._has_view = True
        elif isinstance(each, Document):
            follows = each.number > self._last_document and each.digest not in self._digests
            _need(follows, f"document {each.number} comes twice or after a later one")
            self._last_document = each.number
            self._digests.add(each.digest)
            self._reach(each.n_entries, f"document {each.number}")
        else:
            self._check_summary(each)

    def _check_summary(self, each: Summary | Tile) -> None:
        place, said = (each.level, each.start, each.stop), f"summary {each.start}..{each.stop - 1}"
        _need(0 <= each.start < each.stop, f"{said} stands for nothing")
        self._reach(each.stop, said)
        if isinstance(each, Summary):
            _need(place not in self._made, f"{said} of level {each.level} comes twice")
            self._made.add(place)
        else:
            known = place in self._made and self._covered in (None, each.start)
            _need(known, f"{said} is in force without being there, or leaves a gap before it")
            self._covered = each.stop

    def _reach(self, stop: int, what: str) -> None:
        _need(0 <= stop <= self._n_entries, f"{what} reaches to entry {stop} of {self._n_entries}")


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StoreError(otherwise)
