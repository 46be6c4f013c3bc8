"""The single steps of a write, each run inside a session or transaction that `sql.py` opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from contextkit.log import Entry
from contextkit.store import StoredView, ThreadRecord
from contextkit.stores import statements
from contextkit.stores.database import Session
from contextkit.stores.refusals import check_counter, seq_taken, unknown_thread, view_conflict
from contextkit.stores.rows import to_row
from contextkit.stores.schema import key_of


def find_thread(session: Session, tenant: str, name: str) -> ThreadRecord | None:
    rows = session.rows(statements.FIND_THREAD, tenant=key_of(tenant), name=key_of(name))
    return ThreadRecord(*rows[0]) if rows else None


def add_thread(session: Session, record: ThreadRecord) -> bool:
    """False where the tenant has a thread of that name already."""
    try:
        session.change(
            statements.ADD_THREAD,
            tenant_key=key_of(record.tenant),
            name_key=key_of(record.name),
            tenant=record.tenant,
            name=record.name,
            counter=record.counter,
            parent=record.parent,
            forked_at=record.forked_at,
        )
    except session.conflict:
        return False
    return True


def load_head(session: Session, thread: ThreadRecord, *, lock: bool) -> tuple[str, int, int]:
    """Counter, number of entries and view version; raises `StoreError` for an unknown thread.

    With `lock` they stay so until the transaction ends: on PostgreSQL by a lock on the thread's row,
    on SQLite because a transaction is alone with the database anyway.
    """
    key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
    if lock and not session.is_sqlite:
        session.rows(statements.LOCK_THREAD, **key)
    rows = session.rows(statements.HEAD, **key)
    if not rows:
        raise unknown_thread(thread, str(session.place))
    counter, n_entries, version = rows[0]
    return counter, n_entries, version


def insert_entries(
    session: Session, thread: ThreadRecord, entries: Sequence[Entry]
) -> tuple[int, int]:
    """Number of entries afterwards and view version; raises `SeqTaken`."""
    counter, n_entries, version = load_head(session, thread, lock=True)
    check_counter(thread, counter)
    if not entries:
        return n_entries, version
    if entries[0].seq != n_entries:
        raise seq_taken(thread, entries[0].seq, n_entries)
    try:
        session.change_each(statements.ADD_ENTRY, [to_row(thread, entry) for entry in entries])
    except session.conflict as error:
        raise seq_taken(thread, entries[0].seq) from error
    return n_entries + len(entries), version


def swap_view(session: Session, thread: ThreadRecord, view: StoredView, stored: int) -> None:
    """Raises `ViewConflict` where `view` does not follow `stored`, the version under the lock."""
    if view.version != stored + 1:
        raise view_conflict(thread, view.version, stored)
    if stored == 0:
        values = {"thread_id": thread.id, "version": view.version, "body": view.body}
        session.change(statements.ADD_VIEW, **values)
    else:
        key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
        session.change(statements.SWAP_VIEW, **key, new=view.version, text=view.body)


def add_turn(session: Session, thread: ThreadRecord, body: str, n_entries: int) -> int:
    """The number of the turn: one more than the last."""
    rows = session.rows(statements.LAST_TURN, thread=thread.id, tenant=key_of(thread.tenant))
    number = int(rows[0][0]) + 1
    session.change(
        statements.ADD_TURN,
        thread_id=thread.id,
        number=number,
        body=body,
        closed_at=datetime.now(UTC).isoformat(),
        n_entries=n_entries,
    )
    return number
