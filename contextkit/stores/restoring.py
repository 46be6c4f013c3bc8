"""Gives a thread of a SQL history its name and what an export kept beside its log, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from contextkit.store import Kept, StoredTurn, StoredView, ThreadRecord
from contextkit.stores import beside_statements, statements
from contextkit.stores.database import Session
from contextkit.stores.kept import Whole, checked
from contextkit.stores.refusals import name_taken
from contextkit.stores.schema import cover, documents, key_of, summaries, threads, turns, views
from contextkit.stores.sql_beside import add_chunks
from contextkit.stores.sql_summaries import ADD_SUMMARY, ADD_TILE
from contextkit.stores.writes import find_thread, load_head
from contextkit.summary import Summary

BATCH = 256
_CLEAR = [
    table.delete().where(table.c.thread_id == statements.OWN)
    for table in (cover, summaries, documents, turns, views)
]
_RENAME = (
    threads.update()
    .where(threads.c.id == statements.OWN)
    .values(name=bindparam("text", type_=sa.Text), name_key=bindparam("name", type_=sa.LargeBinary))
)


def restore(
    session: Session, thread: ThreadRecord, name: str, kept: Iterable[Kept]
) -> ThreadRecord:
    """Raises `StoreError` where the name is taken or `kept` does not fit together."""
    _, n_entries, _ = load_head(session, thread, lock=True)
    key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
    for statement in _CLEAR:
        session.change(statement, **key)
    writer = _Writer(session, thread)
    batch: list[Whole] = []
    for each in checked(kept, n_entries):
        if batch and (len(batch) == BATCH or type(batch[0]) is not type(each)):
            writer.write(batch)
            batch = []
        batch.append(each)
    writer.write(batch)
    if find_thread(session, thread.tenant, name) is not None:
        raise name_taken(thread.tenant, name)
    try:
        session.change(_RENAME, **key, text=name, name=key_of(name))
    except session.conflict:
        raise name_taken(thread.tenant, name) from None
    return replace(thread, name=name)


class _Writer:
    """Writes values of one kind at a time beside the log of a thread."""

    def __init__(self, session: Session, thread: ThreadRecord) -> None:
        self._session = session
        self._thread = thread
        self._is_covered = False

    def write(self, batch: Sequence[Whole]) -> None:
        found: dict[sa.ClauseElement, list[dict[str, Any]]] = {}
        for each in batch:
            if isinstance(each, tuple):
                document, chunks = each
                add_chunks(self._session, self._thread, bytes.fromhex(document.digest), chunks)
            statement, values = self._row(each)
            found.setdefault(statement, []).append({"thread_id": self._thread.id, **values})
        for statement, rows in found.items():
            self._session.change_each(statement, rows)

    def _row(self, each: Whole) -> tuple[sa.ClauseElement, dict[str, Any]]:
        if isinstance(each, StoredView):
            return statements.ADD_VIEW, {"version": each.version, "body": each.body}
        if isinstance(each, StoredTurn):
            return statements.ADD_TURN, asdict(each)
        if isinstance(each, tuple):
            values = asdict(each[0])
            return beside_statements.ADD_DOCUMENT, values | {
                "digest": bytes.fromhex(each[0].digest)
            }
        place = {"level": each.level, "start": each.start, "stop": each.stop}
        if isinstance(each, Summary):
            return ADD_SUMMARY, {**place, "body": each.dump()}
        previous = each.start if self._is_covered else None
        self._is_covered = True
        return ADD_TILE, {**place, "previous": previous}
