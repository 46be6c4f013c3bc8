"""Brings a database up to the newest revision, by itself and once, however many processes open it.

The revision is read by a plain SELECT; Alembic is imported only where there is something to do.
Both databases change tables inside a transaction, so a kill half-way leaves the old revision.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from threading import Lock

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from contextkit.errors import StoreTooNew
from contextkit.stores.engine import Opened
from contextkit.stores.failures import Place, is_missing_table
from contextkit.stores.schema import NEWEST, REVISIONS, VERSION_TABLE

ADVISORY_LOCK = 7_163_901_234
"""Key of the PostgreSQL advisory lock that those who upgrade hold; any constant would do."""
_alembic_is_global = Lock()


def bring_up(opened: Opened, place: Place) -> None:
    """Upgrades an older or empty database; raises `StoreTooNew` for one of a newer contextkit."""
    with opened.engine.connect() as connection:
        if is_newest(connection, place):
            return
        if opened.is_sqlite:
            _use_wal(connection, place)
            _upgrade_sqlite(connection, place)
        else:
            _upgrade_postgres(connection, place)


def revision(connection: Connection) -> str | None:
    """The revision that a database is at; None for an empty one."""
    try:
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    except DBAPIError as error:
        if error.orig is not None and is_missing_table(error.orig):
            return None
        raise
    return None if found is None else str(found)


def is_newest(connection: Connection, place: Place) -> bool:
    """Whether there is nothing to do; raises `StoreTooNew`."""
    found = revision(connection)
    if found is not None and found not in REVISIONS:
        raise StoreTooNew(
            f"{place}: the database is at revision {found}, this contextkit knows up to {NEWEST}; "
            "upgrade contextkit, or set another url"
        )
    return found == NEWEST


def _use_wal(connection: Connection, place: Place) -> None:
    # SQLite does not wait for its lock here, so the waiting is done by hand.
    deadline = time.monotonic() + place.busy_timeout_s
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            return
        except DBAPIError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _upgrade_sqlite(connection: Connection, place: Place) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    if not is_newest(connection, place):
        _run_alembic(connection)
    connection.commit()


def _upgrade_postgres(connection: Connection, place: Place) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
    try:
        if not is_newest(connection, place):
            connection.exec_driver_sql("BEGIN")
            _run_alembic(connection)
            connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})")


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _alembic_is_global:
        command.upgrade(config, "head")
