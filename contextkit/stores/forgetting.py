"""Forgetting a thread for good: its rows, the chunks nobody else holds, what was derived for its tenant."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from contextkit.store import ThreadRecord
from contextkit.stores import statements
from contextkit.stores.database import Database, Session
from contextkit.stores.refusals import refuse_forks
from contextkit.stores.schema import (
    chunks,
    cover,
    documents,
    entries,
    key_of,
    memo,
    summaries,
    threads,
    turns,
    views,
)
from contextkit.stores.writes import load_head

_tenant = bindparam("tenant", type_=sa.LargeBinary)
_ROWS = [
    table.delete().where(table.c.thread_id == statements.THREAD)
    for table in (cover, summaries, documents, turns, views, entries)
]
_held = (
    select(documents.c.digest)
    .join(threads, threads.c.id == documents.c.thread_id)
    .where(threads.c.tenant_key == _tenant)
)
_CHUNKS = chunks.delete().where(chunks.c.tenant_key == _tenant, chunks.c.digest.not_in(_held))
_MEMO = memo.delete().where(memo.c.tenant_key == _tenant)
_EMPTY = (
    threads.update()
    .where(threads.c.id == statements.THREAD)
    .values(
        tenant_key=bindparam("nobody", type_=sa.LargeBinary),
        name_key=bindparam("nothing", type_=sa.LargeBinary),
        tenant=statements.NOTHING,
        name=statements.NOTHING,
        counter=statements.NOTHING,
        parent=sa.null(),
        forked_at=statements.ZERO,
    )
)
"""The number stays taken, so that whoever still holds it never reads another thread."""


def forget(database: Database, thread: ThreadRecord, forks: bool) -> list[ThreadRecord]:
    """Delete a thread, and with `forks` those that share its entries; returns what is gone.

    SQLite overwrites the deleted rows with zeros.
    """
    with database.session() as session:
        if session.is_sqlite:
            session.rows("PRAGMA secure_delete = ON")
        try:
            with session.transaction():
                load_head(session, thread, lock=True)
                gone = [thread, *_sharing(session, thread)]
                if not forks:
                    refuse_forks(thread, gone[1:])
                _delete(session, gone)
        finally:
            if session.is_sqlite:
                session.rows("PRAGMA secure_delete = OFF")
        if session.is_sqlite:
            session.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def _sharing(session: Session, thread: ThreadRecord) -> list[ThreadRecord]:
    """The forks that read entries through this thread, and theirs."""
    found: list[ThreadRecord] = []
    for (number,) in session.rows(statements.SHARING_FORKS, thread=thread.id):
        key = {"thread": number, "tenant": key_of(thread.tenant)}
        fork = ThreadRecord(*session.rows(statements.LOAD_THREAD, **key)[0])
        found += [fork, *_sharing(session, fork)]
    return found


def _delete(session: Session, gone: Sequence[ThreadRecord]) -> None:
    tenant = key_of(gone[0].tenant)
    for record in reversed(gone):
        for statement in _ROWS:
            session.change(statement, thread=record.id)
        keys = {"nobody": secrets.token_bytes(32), "nothing": secrets.token_bytes(32)}
        session.change(_EMPTY, thread=record.id, **keys)
    session.change(_CHUNKS, tenant=tenant)
    session.change(_MEMO, tenant=tenant)
