"""Histories opened for reading alone: they follow a writer, refuse writes, make nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from contextkit.errors import StoreError, StoreReadOnly
from contextkit.stores.schema import NEWEST, VERSION_TABLE
from contextkit.stores.sql import SqlHistory
from tests.stores.making import everything, grow, opened


def test_a_reader_follows_a_writer_and_refuses_writes(history: SqlHistory) -> None:
    thread = opened(history)
    grow(history, thread, "one")
    reader = history.for_reading()
    assert [e.message.text for e in everything(reader, thread)] == ["one"]
    grow(history, thread, "two")
    assert [e.message.text for e in everything(reader, thread)] == ["one", "two"]
    for write in (
        lambda: reader.save_state("key", "value"),
        lambda: grow(reader, thread, "three"),
        lambda: reader.open_thread("t", "another", counter="c"),
    ):
        with pytest.raises(StoreReadOnly, match="takes no writes"):
            write()
    assert list(reader.verify()) == []
    assert reader.load_state("key") is None
    reader.close()


def test_an_empty_database_is_refused_and_left_empty(sql_url: str, tmp_path: Path) -> None:
    if sql_url.startswith("sqlite"):
        (tmp_path / "history.db").touch()
    for _ in range(2):
        reader = SqlHistory(url=sql_url).for_reading()
        with pytest.raises(StoreError, match="there is no history in this database"):
            reader.list_threads()
        reader.close()


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    reader = SqlHistory(url=f"sqlite:///{tmp_path}/history.db").for_reading()
    with pytest.raises(StoreError, match="there is no database at"):
        reader.list_threads()
    reader.close()
    assert list(tmp_path.iterdir()) == []


def test_an_odd_name_is_no_address(tmp_path: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{tmp_path}/ours 100%#1.db")
    thread = opened(history)
    grow(history, thread, "one")
    history.close()
    reader = history.for_reading()
    assert [e.message.text for e in everything(reader, thread)] == ["one"]
    reader.close()
    assert [path.name for path in tmp_path.iterdir()] == ["ours 100%#1.db"]


def test_an_older_database_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history = SqlHistory(url=f"sqlite:///{path}")
    thread = opened(history)
    grow(history, thread, "one")
    history.close()
    with sqlite3.connect(path) as connection:
        for table in ("cover", "summaries"):
            connection.execute(f"DROP TABLE contextkit_{table}")
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0003'")
    connection.close()
    reader = history.for_reading()
    assert [e.message.text for e in everything(reader, thread)] == ["one"]
    assert reader.cover(thread) == []
    with pytest.raises(StoreReadOnly):
        grow(reader, thread, "two")
    reader.close()
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall()
    connection.close()
    assert rows == [(NEWEST,)]
