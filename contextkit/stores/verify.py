"""Walks a thread of a SQL history page by page and re-derives what its rows must say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contextkit.log import Entry
from contextkit.store import Problem, ThreadRecord
from contextkit.stores import statements
from contextkit.stores.check import Stored, check_entries, check_json
from contextkit.stores.database import Session
from contextkit.stores.rows import to_stored
from contextkit.stores.schema import key_of
from contextkit.stores.sql_beside import check_documents
from contextkit.stores.sql_summaries import check_summaries

PAGE = 500


def check_thread(session: Session, thread: ThreadRecord) -> Iterator[Problem]:
    """Every problem of one thread; what a fork shares is checked with the thread that owns it."""
    key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
    found = session.rows(statements.LOAD_THREAD, **key)
    forked_at: int = found[0][5] if found else 0
    for seq, what in _check_log(session, key, forked_at):
        yield Problem(thread.tenant, thread.name, seq, what)
    for what in _check_view_and_turns(session, key):
        yield Problem(thread.tenant, thread.name, None, what)
    for what in check_documents(session, thread):
        yield Problem(thread.tenant, thread.name, None, what)
    head = session.rows(statements.HEAD, **key)
    for what in check_summaries(session, thread, int(head[0][1]) if head else 0):
        yield Problem(thread.tenant, thread.name, None, what)


def _check_log(
    session: Session, key: Mapping[str, object], forked_at: int
) -> Iterator[tuple[int, str]]:
    previous: Entry | None = None
    if forked_at:
        rows = session.rows(statements.LINE_ENTRIES, **key, start=forked_at - 1, stop=forked_at)
        previous = to_stored(rows[0]).entry if rows else None
        if not rows:
            yield forked_at - 1, "missing: the thread it was forked from does not reach so far"
    yield from check_entries(previous, _stored(session, key), start=forked_at)


def _stored(session: Session, key: Mapping[str, object]) -> Iterator[Stored]:
    start = 0
    while rows := session.rows(statements.LOCAL_PAGE, **key, start=start, limit=PAGE):
        yield from map(to_stored, rows)
        start = rows[-1][0] + 1


def _check_view_and_turns(session: Session, key: Mapping[str, object]) -> Iterator[str]:
    for version, body in session.rows(statements.VIEW, **key):
        if version < 1:
            yield f"the view: its version is {version}, the first is 1"
        if fault := check_json(body):
            yield f"the view: {fault}"
    rows = session.rows(statements.HEAD, **key)
    n_entries: int = rows[0][1] if rows else 0
    expected = 1
    for number, n_then in session.rows(statements.TURN_MARKS, **key):
        if number != expected:
            yield f"turn {expected} is missing: the next stored turn is {number}"
        if n_then > n_entries:
            yield f"turn {number} was closed at {n_then} entries, now there are {n_entries}"
        expected = number + 1
