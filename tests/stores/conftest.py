"""Stores to test: `store` is one of all three kinds, `history` and `sql_url` of the two in SQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory
from tests.stores.making import Store
from tests.stores.postgres import Server, find_binaries

SQL = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries: neither initdb on the path nor /usr/lib/postgresql")
    server = Server(binaries)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An up-to-date, empty database: copying it is faster than upgrading a new one each time."""
    path = tmp_path_factory.mktemp("template") / "history.db"
    history = SqlHistory(url=f"sqlite:///{path}")
    history.list_threads()
    history.close()
    return path


@pytest.fixture(scope="session")
def postgres_shared(postgres: Server) -> str:
    url = postgres.create("shared")
    history = SqlHistory(url=url)
    history.list_threads()
    history.close()
    return url


@pytest.fixture(params=SQL)
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty database, not yet upgraded."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    server: Server = request.getfixturevalue("postgres")
    return server.create(f"fresh_{uuid4().hex[:12]}")


@pytest.fixture(params=SQL)
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlHistory]:
    """A SQL history, empty and up to date."""
    history = _history(request, str(request.param), tmp_path)
    yield history
    history.close()


@pytest.fixture(params=("memory", *SQL))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every kind of store, empty."""
    if request.param == "memory":
        store: Store = MemoryHistory()
    else:
        store = _history(request, str(request.param), tmp_path)
    yield store
    store.close()


@pytest.fixture
def sqlite_path(tmp_path: Path, sqlite_template: Path) -> Path:
    """The file of an empty, up-to-date SQLite database."""
    return Path(shutil.copy(sqlite_template, tmp_path / "history.db"))


def _history(request: pytest.FixtureRequest, kind: str, folder: Path) -> SqlHistory:
    if kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = shutil.copy(template, folder / "history.db")
        return SqlHistory(url=f"sqlite:///{path}")
    url: str = request.getfixturevalue("postgres_shared")
    server: Server = request.getfixturevalue("postgres")
    with server.connect("shared") as connection:
        # A failed test may have left a transaction open, which would hold the tables for ever.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'shared' AND pid <> pg_backend_pid()"
        )
        connection.execute(
            "TRUNCATE contextkit_threads, contextkit_state, contextkit_memo, contextkit_chunks CASCADE"
        )
    return SqlHistory(url=url)
