"""Opens a database for those who only look: nothing is made, and a copy without write permission will do.

What can be written is opened as always and every statement that would change it is refused, so that no
file stays behind. What cannot is read as it stands (https://www.sqlite.org/uri.html, `mode`, `immutable`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from contextkit.errors import StoreError
from contextkit.stores.engine import Opened, open_engine
from contextkit.stores.failures import Place
from contextkit.stores.schema import NEWEST
from contextkit.stores.upgrade import bring_up, is_newest, revision


def reading_place(place: Place) -> Place:
    """The address under which `place` is read; raises `StoreError` where there is no such file."""
    if place.url.get_backend_name() != "sqlite":
        own = place.url.query.get("options", "")
        options = f"{own} -c default_transaction_read_only=on".strip()
        return replace(place, url=place.url.update_query_dict({"options": options}))
    path = place.path
    if path is None:
        return place
    if not path.is_file():
        raise StoreError(
            f"{place}: there is no database at {path}; the first thread that is written makes it. "
            "Name another url to read another one"
        )
    query = {**place.url.query, **_how(path), "uri": "true"}
    return replace(place, url=place.url.set(database=path.resolve().as_uri(), query=query))


def _how(path: Path) -> dict[str, str]:
    if _takes_writes(path):
        return {"mode": "rw"}
    log = Path(f"{path}-wal")
    if log.is_file() and log.stat().st_size:
        return {"mode": "ro"}  # the newest rows are in it
    return {"mode": "ro", "immutable": "1"}


def _takes_writes(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def begin_reading(opened: Opened, place: Place) -> None:
    """Refuses writes from now on; an older database is brought up to date first, where it can be.

    Raises `StoreError` for a database without a history, `StoreTooNew` for one of a newer contextkit.
    """
    if opened.is_sqlite:
        _refuse_writes(opened.engine)
    with opened.engine.connect() as connection:
        if is_newest(connection, place):
            return
        found = revision(connection)
    if found is None:
        raise StoreError(f"{place}: there is no history in this database; name another url")
    if place.path is not None and not _takes_writes(place.path):
        raise StoreError(
            f"{place}: the database is at revision {found}, this contextkit reads {NEWEST}; copy it to "
            "where it can be written, it is brought up to date when it is opened there"
        )
    opened.drop()
    writable = open_engine(place, "normal", 1)
    try:
        bring_up(writable, place)
    finally:
        writable.drop()


def _refuse_writes(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.execute("PRAGMA query_only = ON")
