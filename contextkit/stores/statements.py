"""Every statement of a SQL history, for both dialects: parameters by name, rows as tuples.

Numbers stand as literal text, because a statement runs on the driver's cursor with its named
parameters alone.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam, func, select

from contextkit.stores.schema import entries, state, threads, turns, views

ZERO: sa.ColumnElement[int] = sa.literal_column("0", sa.Integer)
_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)
THREAD = bindparam("thread", type_=sa.Integer)
_tenant = bindparam("tenant", type_=sa.LargeBinary)
_start = bindparam("start", type_=sa.Integer)
_stop = bindparam("stop", type_=sa.Integer)
_limit = bindparam("limit", type_=sa.Integer)

_THREAD_COLUMNS = (
    threads.c.id,
    threads.c.tenant,
    threads.c.name,
    threads.c.counter,
    threads.c.parent,
    threads.c.forked_at,
)
_n_entries = func.coalesce(
    select(func.max(entries.c.seq) + _ONE)
    .where(entries.c.thread_id == threads.c.id)
    .scalar_subquery(),
    threads.c.forked_at,
)
_version = func.coalesce(
    select(views.c.version).where(views.c.thread_id == threads.c.id).scalar_subquery(), ZERO
)
_mine = (threads.c.id == THREAD, threads.c.tenant_key == _tenant)
OWN = select(threads.c.id).where(*_mine).scalar_subquery()
"""The thread, where it is the tenant's: a thread id alone opens nothing."""
HEAD = select(threads.c.counter, _n_entries, _version).where(*_mine)
"""counter, number of entries, version of the view."""
LOCK_THREAD = select(threads.c.id).where(*_mine).with_for_update(key_share=True)
"""PostgreSQL: the writers of one thread queue at its row, and what they read next is exact."""

FIND_THREAD = select(*_THREAD_COLUMNS).where(
    threads.c.tenant_key == _tenant, threads.c.name_key == bindparam("name", type_=sa.LargeBinary)
)
LOAD_THREAD = select(*_THREAD_COLUMNS).where(*_mine)
NOTHING: sa.ColumnElement[str] = sa.literal_column("''", sa.Text)
"""In place of the names and the counter of a thread that was forgotten."""
ALL_THREADS = select(*_THREAD_COLUMNS).where(threads.c.counter != NOTHING)
TENANT_THREADS = ALL_THREADS.where(threads.c.tenant_key == _tenant)
ADD_THREAD = threads.insert().values(
    {c.name: bindparam(c.name, type_=c.type) for c in threads.c if c.name != "id"}
)

_COLUMNS = tuple(column for column in entries.c if column.name != "thread_id")
_LOCAL = select(*_COLUMNS).where(entries.c.thread_id == OWN, entries.c.seq >= _start)
LOCAL_ENTRIES = _LOCAL.where(entries.c.seq < _stop).order_by(entries.c.seq)
LOCAL_PAGE = _LOCAL.order_by(entries.c.seq).limit(_limit).offset(ZERO)
LOCAL_IRREGULAR = (
    select(entries.c.seq)
    .where(entries.c.thread_id == OWN, entries.c.seq >= _start, entries.c.irregular)
    .order_by(entries.c.seq)
)
ADD_ENTRY = entries.insert()


def _along_line(
    columns: list[sa.ColumnElement[Any]], start: sa.ColumnElement[int], stop: sa.ColumnElement[int]
) -> sa.Select[Any]:
    """Entries of a fork and its ancestors: each gives the part below where its child was forked."""
    base = (
        select(threads.c.id, threads.c.parent, threads.c.forked_at.label("low"), stop.label("high"))
        .where(*_mine)
        .cte("line", recursive=True)
    )
    line = base.union_all(
        select(
            threads.c.id,
            threads.c.parent,
            threads.c.forked_at,
            sa.case((base.c.low < base.c.high, base.c.low), else_=base.c.high),
        )
        .join(base, threads.c.id == base.c.parent)
        .where(base.c.low > start)
    )
    return (
        select(*columns)
        .join(line, entries.c.thread_id == line.c.id)
        .where(entries.c.seq >= line.c.low, entries.c.seq >= start, entries.c.seq < line.c.high)
    )


_start_given, _stop_given = sa.cast(_start, sa.Integer), sa.cast(_stop, sa.Integer)
LINE_ENTRIES = _along_line(list(_COLUMNS), _start_given, _stop_given).order_by(entries.c.seq)
LINE_IRREGULAR = (
    _along_line([entries.c.seq], _start_given, _stop_given)
    .where(entries.c.irregular)
    .order_by(entries.c.seq)
)

VIEW = select(views.c.version, views.c.body).where(views.c.thread_id == OWN)
ADD_VIEW = views.insert()
SWAP_VIEW = (
    views.update()
    .where(views.c.thread_id == OWN)
    .values(version=bindparam("new", type_=sa.Integer), body=bindparam("text", type_=sa.Text))
)

TURNS = (
    select(turns.c.number, turns.c.body, turns.c.closed_at, turns.c.n_entries)
    .where(turns.c.thread_id == OWN, turns.c.number >= _start, turns.c.number < _stop)
    .order_by(turns.c.number)
)
TURN_MARKS = (
    select(turns.c.number, turns.c.n_entries)
    .where(turns.c.thread_id == OWN)
    .order_by(turns.c.number)
)
"""Every turn's number and how long the log was then."""
LAST_TURN = select(func.coalesce(func.max(turns.c.number), ZERO)).where(turns.c.thread_id == OWN)
ADD_TURN = turns.insert()

STATE = select(state.c.value).where(state.c.key == bindparam("name", type_=sa.Text))
ADD_STATE = state.insert()
SET_STATE = (
    state.update()
    .where(state.c.key == bindparam("name", type_=sa.Text))
    .values(value=bindparam("text", type_=sa.Text))
)

CREATE_STAGE = (
    "CREATE TEMPORARY TABLE contextkit_recount"
    " (seq INTEGER PRIMARY KEY, measure TEXT NOT NULL, total TEXT NOT NULL)"
)
DROP_STAGE = "DROP TABLE IF EXISTS contextkit_recount"
_staged = sa.table("contextkit_recount", sa.column("seq"), sa.column("measure"), sa.column("total"))
ADD_STAGED = sa.insert(_staged).values(
    seq=bindparam("seq", type_=sa.Integer),
    measure=bindparam("measure", type_=sa.Text),
    total=bindparam("total", type_=sa.Text),
)
_of_entry = _staged.c.seq == entries.c.seq
TAKE_STAGED = (
    entries.update()
    .where(entries.c.thread_id == OWN)
    .values(
        measure=select(_staged.c.measure).where(_of_entry).scalar_subquery(),
        total=select(_staged.c.total).where(_of_entry).scalar_subquery(),
    )
)
SET_COUNTER = threads.update().where(*_mine).values(counter=bindparam("text", type_=sa.Text))
SHARING_FORKS = (
    select(threads.c.id)
    .where(threads.c.parent == THREAD, threads.c.forked_at > ZERO)
    .order_by(threads.c.id)
    .with_for_update(key_share=True)
)
_shared_until = select(threads.c.forked_at).where(*_mine).scalar_subquery()
COPY_SHARED = entries.insert().from_select(
    ["thread_id", *(column.name for column in _COLUMNS)],
    _along_line(
        [sa.cast(THREAD, sa.Integer).label("thread_id"), *_COLUMNS],
        ZERO,
        _shared_until,
    ),
)
SHARE_NOTHING = threads.update().where(*_mine).values(forked_at=ZERO)
