"""History in SQLite or PostgreSQL: what was acknowledged survives, several processes may share it.

On SQLite (WAL) an acknowledged write survives a killed process, and with `durability: full` a power
loss too: with `normal`, a power loss may take what was written since the last checkpoint and had not
reached the disk by itself, newest first, and never leaves a turn half. On PostgreSQL the server's own
settings (`synchronous_commit`, `fsync`) govern. Appending is optimistic: the log computes the next
entries, the primary key refuses whoever comes second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from contextkit.log import Entry
from contextkit.store import Head, Kept, Problem, StoredTurn, StoredView, ThreadRecord
from contextkit.stores import statements, verify
from contextkit.stores.database import Database
from contextkit.stores.engine import Durability
from contextkit.stores.forgetting import forget
from contextkit.stores.recount import recount
from contextkit.stores.refusals import check_fork_point, check_names, name_taken
from contextkit.stores.restoring import restore
from contextkit.stores.rows import to_entry
from contextkit.stores.schema import key_of
from contextkit.stores.sql_beside import carry_documents
from contextkit.stores.sql_summaries import SqlSummaries, carry_summaries
from contextkit.stores.writes import (
    add_thread,
    add_turn,
    find_thread,
    insert_entries,
    load_head,
    swap_view,
)

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
LAST_SEQ = 2**31 - 1
"""The largest number that a column of places holds."""


class SqlHistory(SqlSummaries):
    """`{kind: sql, url: …}`: the contract of `HistoryStore`, opened at the first use."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "sql"
    extra: ClassVar[str] = "postgres"

    url: str = Field(default="sqlite:///contextkit.db", repr=False)
    """`sqlite:///file.db` or `postgresql+psycopg://user:password@host/database`."""
    durability: Durability = "normal"
    """SQLite: what a write survives. `normal`: a killed process; `full`: also power loss."""
    busy_timeout_s: Annotated[float, Field(gt=0)] = 10
    """How long a writer waits for another one, and a call for a free connection."""
    pool_size: Annotated[int, Field(ge=1)] = 5
    """Connections kept open; a burst may open some more for its time."""

    @field_validator("url")
    @classmethod
    def _known_url(cls, url: str) -> str:
        return _checked_url(url)

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be installed: SQLite comes with Python, PostgreSQL's driver does not."""
        return () if self.url.startswith("sqlite") else ("psycopg",)

    def model_post_init(self, context: Any, /) -> None:
        self._database = self._make_database(reads_only=False)

    def for_reading(self) -> SqlHistory:
        """The same history for those who only look: nothing is made or changed, a backup copy will do.

        Raises `StoreError` at the first use where there is no database; writes raise `StoreReadOnly`.
        """
        reader = self.model_copy()
        reader._database = self._make_database(reads_only=True)
        return reader

    def _make_database(self, *, reads_only: bool) -> Database:
        return Database(
            make_url(self.url),
            durability=self.durability,
            busy_timeout_s=self.busy_timeout_s,
            pool_size=self.pool_size,
            reads_only=reads_only,
        )

    def open_thread(
        self, tenant: str, name: str, *, counter: str, create: bool = True
    ) -> ThreadRecord | None:
        check_names(tenant=tenant, thread=name)
        with self._database.session() as session:
            found = find_thread(session, tenant, name)
            if found is None and create:
                # Where another process was first, its thread is the one to open.
                add_thread(session, ThreadRecord(0, tenant, name, counter))
                found = find_thread(session, tenant, name)
            return found

    def list_threads(self, tenant: str | None = None) -> list[ThreadRecord]:
        with self._database.session() as session:
            if tenant is None:
                rows = session.rows(statements.ALL_THREADS)
            else:
                rows = session.rows(statements.TENANT_THREADS, tenant=key_of(tenant))
        records = (ThreadRecord(*row) for row in rows)
        return sorted(records, key=lambda record: (record.tenant, record.name))

    def head(self, thread: ThreadRecord) -> Head:
        with self._database.session() as session:
            _, n_entries, version = load_head(session, thread, lock=False)
        return Head(n_entries, version)

    def entries(self, thread: ThreadRecord, start: int, stop: int) -> list[Entry]:
        start, stop = max(start, 0), min(stop, LAST_SEQ)
        if start >= stop:
            return []
        shared = thread.parent is not None
        statement = statements.LINE_ENTRIES if shared else statements.LOCAL_ENTRIES
        with self._database.session() as session:
            rows = session.rows(
                statement, thread=thread.id, tenant=key_of(thread.tenant), start=start, stop=stop
            )
        return [to_entry(thread, row) for row in rows]

    def irregular(self, thread: ThreadRecord, start: int) -> list[int]:
        shared = thread.parent is not None
        statement = statements.LINE_IRREGULAR if shared else statements.LOCAL_IRREGULAR
        with self._database.session() as session:
            rows = session.rows(
                statement,
                thread=thread.id,
                tenant=key_of(thread.tenant),
                start=start,
                stop=LAST_SEQ,
            )
        return [seq for (seq,) in rows]

    def append(self, thread: ThreadRecord, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        with self._database.transaction() as session:
            insert_entries(session, thread, entries)

    def view(self, thread: ThreadRecord) -> StoredView | None:
        with self._database.session() as session:
            rows = session.rows(statements.VIEW, thread=thread.id, tenant=key_of(thread.tenant))
        return StoredView(*rows[0]) if rows else None

    def commit(
        self,
        thread: ThreadRecord,
        *,
        entries: Sequence[Entry],
        view: StoredView | None,
        turn: str | None,
    ) -> int:
        with self._database.transaction() as session:
            n_entries, version = insert_entries(session, thread, entries)
            if view is not None:
                swap_view(session, thread, view, version)
            return 0 if turn is None else add_turn(session, thread, turn, n_entries)

    def turns(
        self, thread: ThreadRecord, start: int = 1, stop: int | None = None
    ) -> list[StoredTurn]:
        key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
        low, high = min(start, LAST_SEQ), LAST_SEQ if stop is None else min(stop, LAST_SEQ)
        with self._database.session() as session:
            rows = session.rows(statements.TURNS, **key, start=low, stop=high)
        return [StoredTurn(*row) for row in rows]

    def last_turn(self, thread: ThreadRecord) -> int:
        key = {"thread": thread.id, "tenant": key_of(thread.tenant)}
        with self._database.session() as session:
            return int(session.rows(statements.LAST_TURN, **key)[0][0])

    def fork(self, thread: ThreadRecord, name: str, *, at: int) -> ThreadRecord:
        check_names(thread=name)
        with self._database.transaction() as session:
            counter, n_entries, _ = load_head(session, thread, lock=True)
            check_fork_point(thread, at, n_entries)
            record = ThreadRecord(0, thread.tenant, name, counter, parent=thread.id, forked_at=at)
            fork = find_thread(session, thread.tenant, name)
            if fork is not None or not add_thread(session, record):
                raise name_taken(thread.tenant, name)
            fork = find_thread(session, thread.tenant, name) or record
            carry_documents(session, thread, fork)
            carry_summaries(session, thread, fork)
            return fork

    def forget(self, thread: ThreadRecord, *, forks: bool = False) -> list[ThreadRecord]:
        return forget(self._database, thread, forks)

    def recount(self, thread: ThreadRecord, counter: str, entries: Iterator[Entry]) -> ThreadRecord:
        recount(self._database, thread, counter, entries)
        return replace(thread, counter=counter, forked_at=0)

    def restore(self, thread: ThreadRecord, name: str, kept: Iterable[Kept]) -> ThreadRecord:
        check_names(thread=name)
        with self._database.transaction() as session:
            return restore(session, thread, name, kept)

    def load_state(self, key: str) -> str | None:
        with self._database.session() as session:
            rows = session.rows(statements.STATE, name=key)
        return rows[0][0] if rows else None

    def save_state(self, key: str, value: str) -> None:
        with self._database.session() as session:
            while not session.change(statements.SET_STATE, name=key, text=value):
                try:
                    session.change(statements.ADD_STATE, key=key, value=value)
                except session.conflict:
                    continue  # another process added the key between the two statements
                return

    def verify(self, tenant: str | None = None) -> Iterator[Problem]:
        for thread in self.list_threads(tenant):
            with self._database.session() as session, session.snapshot():
                yield from verify.check_thread(session, thread)

    def checkpoint(self) -> None:
        """SQLite: what was written until now is on the disk afterwards, power loss or not.

        By itself this happens at `close` and once the log is long; a server does it when it is idle.
        """
        self._database.checkpoint()

    def close(self) -> None:
        self._database.close()


def _checked_url(url: str) -> str:
    """With the driver named; raises `ValueError` for what this store cannot open."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(
            "must be a database url such as sqlite:///contextkit.db or "
            "postgresql+psycopg://user@host/database"
        ) from None
    name = parsed.drivername
    if name not in (*_DRIVERS, *_DRIVERS.values()):
        raise ValueError(f"must begin with sqlite:/// or postgresql+psycopg://, not {name}://")
    if name == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("must name a file; for a history in memory take {kind: memory}")
    driver = _DRIVERS.get(name, name)
    return parsed.set(drivername=driver).render_as_string(hide_password=False)
