"""Databases that are empty, half-way, up to date or too new, and opened by several at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import contextkit.stores.upgrade as upgrade_module
from contextkit.errors import StoreError, StoreTooNew
from contextkit.stores.schema import NEWEST, REVISIONS, VERSION_TABLE, metadata
from contextkit.stores.sql import SqlHistory
from tests.stores.making import everything, grow, opened
from tests.stores.processes import Writer, finish

LATER_TABLES = (
    ("0002", "contextkit_state"),
    ("0003", "contextkit_memo"),
    ("0003", "contextkit_documents"),
    ("0003", "contextkit_chunks"),
    ("0004", "contextkit_cover"),
    ("0004", "contextkit_summaries"),
)
"""The revision that made each table after the first."""
MIGRATIONS = Path(upgrade_module.__file__).parent / "migrations"


def run_sql(url: str, *texts: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for text in texts:
            connection.exec_driver_sql(text)
    engine.dispose()


def test_an_empty_database_is_brought_up_at_the_first_use(sql_url: str) -> None:
    history = SqlHistory(url=sql_url)
    thread = opened(history)
    grow(history, thread, "hello")
    history.close()
    again = SqlHistory(url=sql_url)
    assert len(everything(again, thread)) == 1
    again.close()


def test_the_revisions_are_those_of_the_packaged_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [NEWEST]
    assert tuple(r.revision for r in script.walk_revisions())[::-1] == REVISIONS


def test_the_migrations_lead_to_the_tables_that_are_used(sql_url: str) -> None:
    history = SqlHistory(url=sql_url)
    history.list_threads()
    history.close()
    engine = sa.create_engine(history.url)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_half_way_database_is_brought_up_and_keeps_its_log(sql_url: str, revision: str) -> None:
    history = SqlHistory(url=sql_url)
    thread = opened(history)
    entries = grow(history, thread, "kept")
    history.close()
    newer = [table for made_by, table in LATER_TABLES if made_by > revision]
    older = f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"
    run_sql(history.url, *(f"DROP TABLE {table}" for table in newer), older)
    again = SqlHistory(url=sql_url)
    again.save_state("k", "v")
    assert again.load_state("k") == "v"
    again.save_memo("acme", "s", {"k": b"v"})
    assert again.documents(thread) == []
    assert everything(again, thread) == entries
    again.close()


def test_a_newer_database_is_refused_by_both_revisions(sql_url: str) -> None:
    history = SqlHistory(url=sql_url)
    opened(history)
    history.close()
    run_sql(history.url, f"UPDATE {VERSION_TABLE} SET version_num = '0077'")
    newer = SqlHistory(url=sql_url)
    with pytest.raises(
        StoreTooNew, match=f"revision 0077.*up to {NEWEST}; upgrade contextkit"
    ) as e:
        newer.list_threads()
    assert "secret" not in str(e.value)
    run_sql(history.url, f"UPDATE {VERSION_TABLE} SET version_num = '{NEWEST}'")
    assert len(newer.list_threads()) == 1
    newer.close()


def test_a_failed_upgrade_leaves_nothing_behind(
    sql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = SqlHistory(url=sql_url)
    run_alembic = upgrade_module._run_alembic  # pyright: ignore[reportPrivateUsage]

    def fail_late(connection: sa.Connection) -> None:
        run_alembic(connection)
        raise ZeroDivisionError

    monkeypatch.setattr(upgrade_module, "_run_alembic", fail_late)
    with pytest.raises(ZeroDivisionError):
        history.list_threads()
    monkeypatch.undo()
    engine = sa.create_engine(history.url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    assert history.list_threads() == []
    history.close()


def test_tables_of_someone_else_are_not_taken_over(sql_url: str) -> None:
    history = SqlHistory(url=sql_url)
    run_sql(history.url, "CREATE TABLE contextkit_threads (id INTEGER)")
    with pytest.raises(StoreError, match="already exists"):
        history.list_threads()
    run_sql(history.url, "DROP TABLE contextkit_threads", "CREATE TABLE entries (mine INTEGER)")
    assert history.list_threads() == []
    history.close()


def test_processes_may_open_an_empty_database_at_once(sql_url: str) -> None:
    acknowledged = finish([Writer(sql_url, "acme", "open") for _ in range(8)])
    assert len(acknowledged) == 8
    assert len({thread_id for _, thread_id in acknowledged}) == 1


def test_alembic_is_imported_only_where_there_is_something_to_do(sqlite_path: Path) -> None:
    program = (
        "import sys; from contextkit.stores.sql import SqlHistory\n"
        f"history = SqlHistory(url='sqlite:///{sqlite_path}')\n"
        "history.list_threads(); history.close()\n"
        "assert 'alembic' not in sys.modules\n"
        "import contextkit.stores.memory\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    program = "import sys, contextkit.stores.memory\nassert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_file_database_is_in_wal_mode(sqlite_path: Path) -> None:
    assert sqlite_path.read_bytes()[18:20] == b"\x02\x02"
    assert not os.path.exists(f"{sqlite_path}-wal")
