"""What a SQL history keeps beside its logs: the memo of each tenant, documents and their chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, PrivateAttr

from contextkit.documents import Chunk, Document
from contextkit.store import ThreadRecord
from contextkit.stores import beside_statements as statements
from contextkit.stores.check import check_chunks
from contextkit.stores.database import Database, Session
from contextkit.stores.refusals import check_chunk_texts, check_names
from contextkit.stores.schema import key_of
from contextkit.stores.writes import load_head

LAST_NUMBER = 2**31 - 1


class SqlBeside(BaseModel):
    """The part of `SqlHistory` that is no log; see `HistoryStore` for the contract."""

    _database: Database = PrivateAttr()

    def load_memo(self, tenant: str, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        check_names(tenant=tenant, space=space, key="".join(keys))
        if not keys:
            return {}
        place: dict[str, Any] = {"tenant": key_of(tenant), "space": space}
        with self._database.session() as session:
            if session.is_sqlite:
                rows = session.rows(
                    statements.LOAD_MEMO_SQLITE, **place, keys=json.dumps(list(keys))
                )
            else:
                rows = session.rows(statements.LOAD_MEMO_POSTGRES, **place, keys=list(keys))
        return {key: bytes(value) for key, value in rows}

    def save_memo(self, tenant: str, space: str, items: Mapping[str, bytes]) -> None:
        check_names(tenant=tenant, space=space, key="".join(items))
        if not items:
            return
        key = {"tenant_key": key_of(tenant), "space": space}
        # In the order of the keys: two writers of the same keys then wait instead of deadlocking.
        rows = [{**key, "key": name, "value": items[name]} for name in sorted(items)]
        with self._database.transaction() as session:
            sqlite, postgres = statements.SAVE_MEMO_SQLITE, statements.SAVE_MEMO_POSTGRES
            session.change_each(sqlite if session.is_sqlite else postgres, rows)

    def list_memo(self, tenant: str, space: str) -> list[str]:
        check_names(tenant=tenant, space=space)
        with self._database.session() as session:
            rows = session.rows(statements.LIST_MEMO, tenant=key_of(tenant), space=space)
        return sorted(key for (key,) in rows)

    def drop_memo(self, tenant: str, space: str, keys: Sequence[str] | None = None) -> None:
        check_names(tenant=tenant, space=space, key="".join(keys or ()))
        place = {"tenant": key_of(tenant), "space": space}
        with self._database.transaction() as session:
            if keys is None:
                session.change(statements.DROP_SPACE, **place)
            else:
                rows = [{**place, "name": key} for key in sorted(set(keys))]
                session.change_each(statements.DROP_KEY, rows)

    def add_document(
        self, thread: ThreadRecord, document: Document, chunks: Sequence[Chunk]
    ) -> Document:
        check_chunk_texts(document, chunks)
        with self._database.transaction() as session:
            _, n_entries, _ = load_head(session, thread, lock=True)
            digest = bytes.fromhex(document.digest)
            place = {"thread": thread.id, "tenant": key_of(thread.tenant)}
            found = session.rows(statements.FIND_DOCUMENT, **place, digest=digest)
            if found:
                return _document(found[0])
            add_chunks(session, thread, digest, chunks)
            number = int(session.rows(statements.LAST_DOCUMENT, **place)[0][0]) + 1
            session.change(
                statements.ADD_DOCUMENT,
                thread_id=thread.id,
                number=number,
                digest=digest,
                name=document.name,
                media_type=document.media_type,
                source=document.source,
                n_chunks=len(chunks),
                added_at=datetime.now(UTC).isoformat(),
                n_entries=n_entries,
            )
            return _document(session.rows(statements.FIND_DOCUMENT, **place, digest=digest)[0])

    def documents(self, thread: ThreadRecord) -> list[Document]:
        with self._database.session() as session:
            return read_documents(session, thread)

    def chunks(
        self, thread: ThreadRecord, document: int, start: int = 0, stop: int | None = None
    ) -> list[Chunk]:
        start = max(0, start)
        end = LAST_NUMBER if stop is None else min(stop, LAST_NUMBER)
        if not 0 < document <= LAST_NUMBER or start >= end:
            return []
        with self._database.session() as session:
            return read_chunks(session, thread, document, start, end)


def read_documents(session: Session, thread: ThreadRecord) -> list[Document]:
    rows = session.rows(statements.DOCUMENTS, thread=thread.id, tenant=key_of(thread.tenant))
    return [_document(row) for row in rows]


def read_chunks(
    session: Session, thread: ThreadRecord, document: int, start: int, stop: int
) -> list[Chunk]:
    place = {"thread": thread.id, "tenant": key_of(thread.tenant), "document": document}
    rows = session.rows(statements.CHUNKS, **place, start=start, stop=stop)
    return [Chunk(*row) for row in rows]


def carry_documents(session: Session, parent: ThreadRecord, fork: ThreadRecord) -> None:
    """Give a new fork the documents that were there before its fork point."""
    values = {"thread": parent.id, "fork": fork.id, "at": fork.forked_at}
    session.change(statements.CARRY_DOCUMENTS, **values)


def check_documents(session: Session, thread: ThreadRecord) -> Iterator[str]:
    """What is wrong with the documents of a thread."""
    for document in read_documents(session, thread):
        chunks = read_chunks(session, thread, document.number, 0, LAST_NUMBER)
        yield from check_chunks(document, chunks)


def add_chunks(
    session: Session, thread: ThreadRecord, digest: bytes, chunks: Sequence[Chunk]
) -> None:
    """Keep the chunks of a digest, where the tenant has them not yet."""
    tenant = key_of(thread.tenant)
    if session.rows(statements.HAS_CHUNKS, tenant=tenant, digest=digest):
        return
    key = {"tenant_key": tenant, "digest": digest}
    rows = [
        {**key, "number": number, "place": chunk.place, "body": chunk.text}
        for number, chunk in enumerate(chunks)
    ]
    sqlite, postgres = statements.ADD_CHUNK_SQLITE, statements.ADD_CHUNK_POSTGRES
    session.change_each(sqlite if session.is_sqlite else postgres, rows)


def _document(row: tuple[Any, ...]) -> Document:
    name, media_type, digest, *rest = row
    return Document(name, media_type, bytes(digest).hex(), *rest)
