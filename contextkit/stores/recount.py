"""Replaces the measures of a thread by those of another counter, all at once.

The new measures are staged in a temporary table, outside any lock, however long counting takes; one
short transaction then swaps them in. A kill before its end leaves the old counter. Forks that share
entries of the thread get rows of their own first, because their counter stays the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from contextkit.log import Entry
from contextkit.store import ThreadRecord
from contextkit.stores import statements
from contextkit.stores.database import Database, Session
from contextkit.stores.refusals import seq_taken
from contextkit.stores.rows import write_measure
from contextkit.stores.schema import key_of
from contextkit.stores.writes import load_head

BATCH = 500


def recount(
    database: Database, thread: ThreadRecord, counter: str, entries: Iterator[Entry]
) -> None:
    """Raises `SeqTaken` where the log has another length than `entries` by the time of the swap."""
    with database.session() as session:
        n_staged = _stage(session, entries)
        with session.transaction():
            _swap(session, thread, counter, n_staged)
        session.change(statements.DROP_STAGE)


def _stage(session: Session, entries: Iterator[Entry]) -> int:
    session.change(statements.DROP_STAGE)
    session.change(statements.CREATE_STAGE)
    n_staged = 0
    while batch := list(islice(entries, BATCH)):
        rows = [
            {"seq": e.seq, "measure": write_measure(e.measure), "total": write_measure(e.total)}
            for e in batch
        ]
        session.change_each(statements.ADD_STAGED, rows)
        n_staged += len(rows)
    return n_staged


def _swap(session: Session, thread: ThreadRecord, counter: str, n_staged: int) -> None:
    _, n_entries, _ = load_head(session, thread, lock=True)
    if n_entries != n_staged:
        raise seq_taken(thread, n_staged, n_entries)
    key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
    forks = session.rows(statements.SHARING_FORKS, **key)
    for thread_id in (thread.id, *(row[0] for row in forks)):
        _detach(session, {**key, "thread": thread_id})
    session.change(statements.TAKE_STAGED, **key)
    session.change(statements.SET_COUNTER, **key, text=counter)


def _detach(session: Session, key: Mapping[str, object]) -> None:
    """Gives a fork rows of its own for what it shares; the parent stays known, shared up to 0."""
    session.change(statements.COPY_SHARED, **key)
    session.change(statements.SHARE_NOTHING, **key)
