"""Makes the SQLAlchemy engine of a history: pool, driver settings, the dialect's own words.

Drivers run in autocommit and transactions are begun by hand, so that a SQLite writer takes its lock
at the beginning (BEGIN IMMEDIATE) and waits for it, instead of failing half-way.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from contextkit.errors import StoreError
from contextkit.stores.failures import Place

Durability: TypeAlias = Literal["normal", "full"]
OVERFLOW = 10
"""Connections a burst may open beyond `pool_size`."""
CHECKPOINT_PAGES = 8192
"""SQLite's log, in pages of 4 KiB, at which a commit moves it into the database's file.

That commit waits for the disk. By SQLite's own 1000 pages it is every hundredth turn that does; by these
every thousandth, and pages that were written again meanwhile are moved once.
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine with what a session asks of it often."""

    engine: Engine
    is_sqlite: bool
    n_kept: int
    """Connections kept past the pool: taking one from the pool and giving it back is slower than a read."""
    kept: list[PoolProxiedConnection] = field(default_factory=list[PoolProxiedConnection])
    pid: int = field(default_factory=os.getpid)
    texts: dict[sa.ClauseElement, str] = field(default_factory=dict[sa.ClauseElement, str])

    @property
    def begin_write(self) -> str:
        return "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN"

    @property
    def begin_read(self) -> str:
        return "BEGIN" if self.is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ"

    @property
    def driver_error(self) -> type[Exception]:
        return self.engine.dialect.loaded_dbapi.Error

    @property
    def conflict(self) -> type[Exception]:
        """What the driver raises where a row with that key is there already."""
        return self.engine.dialect.loaded_dbapi.IntegrityError

    def take(self) -> PoolProxiedConnection:
        """A connection that nobody else uses."""
        try:
            return self.kept.pop()
        except IndexError:
            return self.engine.raw_connection()

    def give(self, connection: PoolProxiedConnection) -> None:
        """For the next one who takes one; no transaction is open on it."""
        if len(self.kept) < self.n_kept:
            self.kept.append(connection)
        else:
            connection.close()

    def drop(self) -> None:
        """Closes what is not in use."""
        with suppress(IndexError):  # another thread may take the last one
            while True:
                self.kept.pop().close()
        self.engine.dispose()

    def text(self, statement: sa.ClauseElement | str) -> str:
        """The driver's text of a statement, compiled once."""
        if isinstance(statement, str):
            return statement
        found = self.texts.get(statement)
        if found is None:
            found = self.texts[statement] = str(statement.compile(dialect=self.engine.dialect))
        return found


def open_engine(place: Place, durability: Durability, pool_size: int) -> Opened:
    """An engine that has not connected yet; raises `StoreError` without the driver."""
    is_sqlite = place.url.get_backend_name() == "sqlite"
    settings = _sqlite_settings(place) if is_sqlite else _postgres_settings(place)
    try:
        engine = sa.create_engine(
            place.url,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=OVERFLOW,
            pool_timeout=place.busy_timeout_s,
            **settings,
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{place}: the driver {error.name} is not installed; pip install 'contextkit[postgres]'"
        ) from error
    if is_sqlite:
        _prepare_connections(engine, durability)
    # A server may drop a connection that was idle: those of PostgreSQL are tried by the pool.
    return Opened(engine, is_sqlite, n_kept=pool_size if is_sqlite else 0)


def _sqlite_settings(place: Place) -> dict[str, Any]:
    connect = {"timeout": place.busy_timeout_s, "isolation_level": None, "check_same_thread": False}
    return {"paramstyle": "named", "connect_args": connect}


def _postgres_settings(place: Place) -> dict[str, Any]:
    own = place.url.query.get("options", "")
    connect = {
        "autocommit": True,
        "connect_timeout": max(2, round(place.busy_timeout_s)),
        "options": f"{own} -c lock_timeout={round(place.busy_timeout_s * 1000)}".strip(),
    }
    return {"pool_pre_ping": True, "connect_args": connect}


def _prepare_connections(engine: Engine, durability: Durability) -> None:
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        try:
            connection.execute(f"PRAGMA synchronous = {durability.upper()}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {4096 * CHECKPOINT_PAGES}")
        except BaseException:
            connection.close()
            raise
