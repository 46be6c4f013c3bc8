"""The summaries of a SQL history, kept and put in force in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from contextkit.store import CoverMoved, ThreadRecord
from contextkit.stores import statements
from contextkit.stores.cover import check_cover, check_next
from contextkit.stores.database import Session
from contextkit.stores.rows import to_stored
from contextkit.stores.schema import cover, key_of, summaries
from contextkit.stores.sql_beside import SqlBeside
from contextkit.stores.statements import OWN, THREAD
from contextkit.stores.writes import load_head
from contextkit.summary import Summary, source_digest

_start = bindparam("start", type_=sa.Integer)
_stop = bindparam("stop", type_=sa.Integer)
_fork = sa.cast(bindparam("fork", type_=sa.Integer), sa.Integer)
_at = bindparam("at", type_=sa.Integer)

ADD_SUMMARY = summaries.insert()
ADD_TILE = cover.insert()
END_TILES = cover.delete().where(
    cover.c.thread_id == OWN, cover.c.start >= _start, cover.c.stop <= _stop
)
TILES = (
    select(cover.c.start, cover.c.stop, cover.c.level)
    .where(cover.c.thread_id == OWN)
    .order_by(cover.c.start)
)
KEY = ("thread_id", "level", "start", "stop")
COVER = (
    select(summaries.c.body)
    .join(
        cover,
        sa.and_(*(cover.c[name] == summaries.c[name] for name in KEY)),
    )
    .where(cover.c.thread_id == OWN)
    .order_by(cover.c.start)
)
SUMMARIES = (
    select(summaries.c.body)
    .where(summaries.c.thread_id == OWN)
    .order_by(summaries.c.level, summaries.c.start)
)
CARRY = tuple(
    table.insert().from_select(
        [column.name for column in table.c],
        select(_fork, *(column for column in table.c if column.name != "thread_id")).where(
            table.c.thread_id == THREAD, table.c.stop <= _at
        ),
    )
    for table in (summaries, cover)
)
"""What a new fork takes along."""


class SqlSummaries(SqlBeside):
    """The summaries of `SqlHistory`; see `HistoryStore` for the contract."""

    def add_summary(
        self, thread: ThreadRecord, summary: Summary, replaces: Sequence[Summary] = ()
    ) -> None:
        with self._database.transaction() as session:
            _, n_entries, _ = load_head(session, thread, lock=True)
            key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
            tiles = [(row[0], row[1], row[2]) for row in session.rows(TILES, **key)]
            check_next(thread, tiles, summary, replaces, n_entries)
            place = {
                "thread_id": thread.id,
                "level": summary.level,
                "start": summary.start,
                "stop": summary.stop,
            }
            first = not tiles or tiles[0][0] == summary.start
            try:
                session.change(ADD_SUMMARY, **place, body=summary.dump())
                session.change(END_TILES, **key, start=summary.start, stop=summary.stop)
                session.change(ADD_TILE, **place, previous=None if first else summary.start)
            except session.conflict as error:
                raise CoverMoved(f"summary {summary.handle} is there already") from error

    def cover(self, thread: ThreadRecord) -> list[Summary]:
        with self._database.session() as session:
            return _loaded(session, COVER, thread)

    def summaries(self, thread: ThreadRecord) -> list[Summary]:
        with self._database.session() as session:
            return _loaded(session, SUMMARIES, thread)


def carry_summaries(session: Session, parent: ThreadRecord, fork: ThreadRecord) -> None:
    """Give a new fork the summaries of what it shares."""
    for statement in CARRY:
        session.change(statement, thread=parent.id, fork=fork.id, at=fork.forked_at)


def check_summaries(session: Session, thread: ThreadRecord, n_entries: int) -> Iterator[str]:
    """What is wrong with the summaries of a thread."""
    key = {"thread": thread.id, "tenant": key_of(thread.tenant)}

    @cache
    def digest(start: int, stop: int) -> str:
        rows = session.rows(statements.LINE_ENTRIES, **key, start=start, stop=stop)
        found = [to_stored(row).entry for row in rows]
        if len(found) != stop - start:
            return ""
        return source_digest(entry.message.digest for entry in found if entry is not None)

    try:
        tiles, made = _loaded(session, COVER, thread), _loaded(session, SUMMARIES, thread)
    except (ValueError, TypeError, KeyError) as error:
        yield f"a summary cannot be read: {error}"
        return
    n_tiles = len(session.rows(TILES, **key))
    if n_tiles != len(tiles):
        yield f"{n_tiles} summaries are in force, {len(tiles)} of them are there"
    yield from check_cover(tiles, made, n_entries, digest)


def _loaded(
    session: Session, statement: sa.Select[tuple[str]], thread: ThreadRecord
) -> list[Summary]:
    rows = session.rows(statement, thread=thread.id, tenant=key_of(thread.tenant))
    return [Summary.load(body) for (body,) in rows]
