"""What a history in memory keeps beside its logs: the memo of each tenant, documents, their chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock

from pydantic import BaseModel, PrivateAttr

from contextkit.documents import Chunk, Document
from contextkit.errors import StoreError
from contextkit.stores.refusals import check_names


@dataclass(slots=True)
class Shelf:
    """The documents of one thread with their chunks."""

    documents: list[Document] = field(default_factory=list[Document])
    chunks: dict[int, tuple[Chunk, ...]] = field(default_factory=dict[int, tuple[Chunk, ...]])

    def add(self, document: Document, chunks: Sequence[Chunk], n_entries: int) -> Document:
        """The document with its number, or the one of the same digest that is there."""
        for known in self.documents:
            if known.digest == document.digest:
                return known
        number = len(self.documents) + 1
        now = datetime.now(UTC).isoformat()
        kept = replace(
            document, number=number, n_chunks=len(chunks), added_at=now, n_entries=n_entries
        )
        self.put(kept, chunks)
        return kept

    def put(self, document: Document, chunks: Sequence[Chunk]) -> None:
        """Keep a document as it is, with all of its chunks."""
        self.documents.append(document)
        self.chunks[document.number] = tuple(
            replace(chunk, number=index, document=document.number)
            for index, chunk in enumerate(chunks)
        )

    def carried(self, at: int) -> Shelf:
        """The shelf of a fork at entry `at`; chunks are shared."""
        kept = [document for document in self.documents if document.n_entries <= at]
        return Shelf(kept, {d.number: self.chunks[d.number] for d in kept})


class MemoryMemo(BaseModel):
    """The memo part of `MemoryHistory`; see `HistoryStore` for the contract."""

    _lock: RLock = PrivateAttr(default_factory=RLock)
    _closed: bool = PrivateAttr(default=False)
    _memo: dict[tuple[str, str], dict[str, bytes]] = PrivateAttr(
        default_factory=dict[tuple[str, str], dict[str, bytes]]
    )

    def load_memo(self, tenant: str, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        check_names(tenant=tenant, space=space, key="".join(keys))
        with self._lock:
            self._refuse_closed()
            kept = self._memo.get((tenant, space), {})
            return {key: kept[key] for key in keys if key in kept}

    def save_memo(self, tenant: str, space: str, items: Mapping[str, bytes]) -> None:
        check_names(tenant=tenant, space=space, key="".join(items))
        with self._lock:
            self._refuse_closed()
            self._memo.setdefault((tenant, space), {}).update(items)

    def list_memo(self, tenant: str, space: str) -> list[str]:
        check_names(tenant=tenant, space=space)
        with self._lock:
            self._refuse_closed()
            return sorted(self._memo.get((tenant, space), {}))

    def drop_memo(self, tenant: str, space: str, keys: Sequence[str] | None = None) -> None:
        check_names(tenant=tenant, space=space, key="".join(keys or ()))
        with self._lock:
            self._refuse_closed()
            if keys is None:
                self._memo.pop((tenant, space), None)
                return
            kept = self._memo.get((tenant, space), {})
            for key in keys:
                kept.pop(key, None)

    def _drop_memos(self, tenant: str) -> None:
        for place in [place for place in self._memo if place[0] == tenant]:
            del self._memo[place]

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError("this memory history was closed; make a new one")
