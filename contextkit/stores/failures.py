"""Driver errors as contextkit's own: what failed, in which database, and what would work.

Codes follow https://www.sqlite.org/rescode.html and PostgreSQL's appendix A, "Error Codes".
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from contextkit.errors import StoreBusy, StoreCorrupt, StoreError, StoreReadOnly


@dataclass(frozen=True, slots=True)
class Place:
    """A database as error messages name it: never with its password."""

    url: URL
    busy_timeout_s: float

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database that is named by a plain path."""
        name = self.url.database
        plain = self.url.get_backend_name() == "sqlite" and name and not name.startswith("file:")
        return Path(name) if plain and name else None


def to_store_error(error: BaseException, place: Place) -> StoreError:
    """The `StoreError` that a driver's error stands for."""
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error, place)
    if getattr(error, "sqlstate", "") is not None:
        return _from_postgres(error, getattr(error, "sqlstate", ""), place)
    return _unreachable(error, place)


def busy(place: Place, why: str = "another writer held the lock") -> StoreBusy:
    return StoreBusy(
        f"{place}: {why} for {place.busy_timeout_s:g} s; nothing was stored, try again, or raise "
        "busy_timeout_s"
    )


def is_missing_table(error: BaseException) -> bool:
    """Whether a statement failed because its table is not there (yet)."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such table" in str(error)
    return getattr(error, "sqlstate", None) in ("42P01", "3F000")


def _from_sqlite(error: sqlite3.Error, place: Place) -> StoreError:
    extended: int = getattr(error, "sqlite_errorcode", 0)
    match extended & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return busy(place)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return _read_only(error, place)
        case sqlite3.SQLITE_FULL:
            return _full(error, place)
        case sqlite3.SQLITE_IOERR if extended in _FAILED_WRITES:
            return _full(error, place)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _corrupt(error, place)
        case sqlite3.SQLITE_CANTOPEN:
            return _cannot_open(error, place)
        case _:
            return _other(error, place)


_FAILED_WRITES = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
}


def _from_postgres(error: BaseException, sqlstate: str, place: Place) -> StoreError:
    if sqlstate in ("55P03", "40P01", "40001", "57014"):
        return busy(place)
    if sqlstate in ("53300", "53400"):
        return StoreBusy(f"{place}: no connection is free ({_first_line(error)}); lower pool_size")
    if sqlstate in ("25006", "42501"):
        return _read_only(error, place)
    if sqlstate == "53100":
        return _full(error, place)
    if sqlstate in ("XX001", "XX002"):
        return _corrupt(error, place)
    if sqlstate[:2] == "08" or sqlstate[:3] == "57P":
        return _unreachable(error, place)
    return _other(error, place)


def _read_only(error: BaseException, place: Place) -> StoreReadOnly:
    on_disk = "the file, its -wal and -shm and its folder"
    what = on_disk if place.url.get_backend_name() == "sqlite" else "the database"
    return StoreReadOnly(
        f"{place}: the database takes no writes ({_first_line(error)}); make {what} writable for "
        "this user, or set another url"
    )


def _full(error: BaseException, place: Place) -> StoreReadOnly:
    return StoreReadOnly(
        f"{place}: the disk did not take a write ({_first_line(error)}); nothing of this call was "
        "stored, free some space and try again"
    )


def _corrupt(error: BaseException, place: Place) -> StoreCorrupt:
    return StoreCorrupt(
        f"{place}: the database is damaged ({_first_line(error)}); restore it from a copy, or save "
        "what can be read with `sqlite3 <file> .recover`"
    )


def _cannot_open(error: BaseException, place: Place) -> StoreError:
    path = place.path
    if path is None:
        return _other(error, place)
    if not path.parent.is_dir():
        return StoreError(f"{place}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        return StoreError(f"{place}: {path} is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        return _read_only(error, place)
    return _other(error, place)


def _unreachable(error: BaseException, place: Place) -> StoreError:
    return StoreError(
        f"{place}: the server does not answer ({_first_line(error)}); whether a write under "
        "way is stored shows once it does. Start the server or correct host and port: this store "
        "connects again by itself"
    )


def _other(error: BaseException, place: Place) -> StoreError:
    return StoreError(
        f"{place}: {type(error).__name__}: {_first_line(error)}; check that the url names a "
        "database this user may read and write"
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
