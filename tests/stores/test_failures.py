"""What a SQL history says when its database fails; it works again once the cause is gone."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from contextkit.errors import StoreBusy, StoreCorrupt, StoreError, StoreReadOnly
from contextkit.stores.sql import SqlHistory
from tests.stores.making import commit_turn, everything, grow, opened
from tests.stores.postgres import Server

NOBODY = 65534


def works(history: SqlHistory) -> None:
    thread = opened(history)
    before = history.head(thread).n_entries
    grow(history, thread, "again")
    commit_turn(history, thread)
    assert history.head(thread).n_entries == before + 1
    assert list(history.verify()) == []


def grow_until_refused(history: SqlHistory) -> None:
    """Every call is checked to have stored all it was given, the refused one nothing."""
    thread = opened(history)
    for n_calls in itertools.count(1):
        try:
            grow(history, thread, "word " * 500, "word " * 500)
        except StoreReadOnly:
            assert history.head(thread).n_entries == 2 * (n_calls - 1)
            raise


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mysql://root@host/db", "must begin with sqlite:///"),
        ("sqlite://", "take {kind: memory}"),
        ("sqlite:///:memory:", "take {kind: memory}"),
        ("history.db", "must be a database url"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_at_once(url: str, remedy: str) -> None:
    with pytest.raises(ValidationError, match=remedy):
        SqlHistory(url=url)


def test_postgres_urls_get_the_driver_and_keep_the_password_to_themselves() -> None:
    history = SqlHistory(url="postgresql://me:secret@host/db")
    assert history.url == "postgresql+psycopg://me:secret@host/db"
    assert "secret" not in repr(history) + str(history)


def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, remedy in ((tmp_path / "no/history.db", "create it first"), (tmp_path, "a folder;")):
        history = SqlHistory(url=f"sqlite:///{path}")
        with pytest.raises(StoreError, match=remedy):
            history.list_threads()
        path.parent.mkdir(exist_ok=True)
        history.close()
    history = SqlHistory(url=f"sqlite:///{tmp_path}/no/history.db")
    works(history)
    history.close()


def test_a_locked_database_says_how_long_it_waited(history: SqlHistory) -> None:
    quick = SqlHistory(url=history.url, busy_timeout_s=0.3)
    thread = opened(quick)
    with history._database.transaction() as session:  # pyright: ignore[reportPrivateUsage]
        session.change("UPDATE contextkit_threads SET id = id")
        session.change("DELETE FROM contextkit_entries")
        with pytest.raises(StoreBusy, match=r"held the lock for 0\.3 s.*busy_timeout_s") as failure:
            commit_turn(quick, thread, "hello")
        assert "secret" not in str(failure.value)
        assert quick.head(thread).n_entries == 0
    works(quick)
    quick.close()


def test_a_writer_in_the_same_process_waits_no_longer_either(sqlite_path: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{sqlite_path}", busy_timeout_s=0.3)
    with history._database.transaction():  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(StoreBusy, match=r"0\.3 s"):
            history.fork(opened(history), "fork", at=0)
        with pytest.raises(StoreBusy):
            history.save_state("k", "v")
    works(history)
    history.close()


def test_a_file_that_is_no_database_is_corrupt_until_it_is_restored(sqlite_path: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{sqlite_path}")
    works(history)
    history.close()
    copy = shutil.copy(sqlite_path, f"{sqlite_path}.copy")
    sqlite_path.write_bytes(b"not a database, but long enough to look like one" * 100)
    history = SqlHistory(url=f"sqlite:///{sqlite_path}")
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="restore it from a copy"):
            opened(history)
    shutil.copy(copy, sqlite_path)
    works(history)
    history.close()


def test_a_damaged_page_is_corrupt_until_it_is_restored(sqlite_path: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{sqlite_path}")
    thread = opened(history)
    grow(history, thread, *("word " * 200 for _ in range(200)))
    history.close()
    copy = shutil.copy(sqlite_path, f"{sqlite_path}.copy")
    with sqlite_path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 60)
    with pytest.raises(StoreCorrupt, match="the database is damaged"):
        list(everything(history := SqlHistory(url=history.url), opened(history)))
    shutil.copy(copy, sqlite_path)
    works(history)
    history.close()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    # Not in pytest's own folder: a mount left by a killed run would stand in the way of its clean-up.
    folder = Path(tempfile.mkdtemp(prefix="contextkit-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("no tmpfs can be mounted here: the file size limit stands in for a full disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_takes_nothing_of_a_call_and_works_when_there_is_room(tiny_disk: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{tiny_disk}/history.db")
    thread = opened(history)
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    with pytest.raises(StoreReadOnly, match="free some space"):
        grow_until_refused(history)
    stored = history.head(thread).n_entries
    ballast.unlink()
    assert history.head(thread).n_entries == stored > 0
    works(history)
    history.close()


def in_child(act: Callable[[], None], *, user: int | None = None) -> None:
    """Runs `act` in a forked process, as another user where one is given and we are root."""
    child = os.fork()
    if child == 0:
        try:
            if user is not None and os.geteuid() == 0:
                os.setuid(user)
            act()
        except BaseException:  # noqa: BLE001  a child of a test must not run on into pytest
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def test_a_limit_of_the_file_size_is_a_full_disk(sqlite_path: Path) -> None:
    def act() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        history = SqlHistory(url=f"sqlite:///{sqlite_path}")
        thread = opened(history)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        with pytest.raises(StoreReadOnly, match="the disk did not take a write"):
            grow_until_refused(history)
        stored = history.head(thread).n_entries
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert history.head(thread).n_entries == stored > 0
        works(history)
        history.close()

    in_child(act)


@pytest.fixture
def open_folder(sqlite_path: Path) -> Iterator[Path]:
    """A folder that belongs to nobody (where we are root), with an up-to-date history in it."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    shutil.copy(sqlite_path, folder / "history.db")
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.chown(folder / "history.db", NOBODY, NOBODY)
    yield folder
    folder.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def test_a_read_only_file_is_read_and_refuses_writes(open_folder: Path) -> None:
    path = open_folder / "history.db"

    def act() -> None:
        writable = SqlHistory(url=f"sqlite:///{path}")
        thread = opened(writable)
        grow(writable, thread, "kept")
        writable.close()
        path.chmod(0o444)
        history = SqlHistory(url=f"sqlite:///{path}")
        assert [e.message.text for e in everything(history, thread)] == ["kept"]
        with pytest.raises(StoreReadOnly, match="make the file, its -wal and -shm and its folder"):
            grow(history, thread, "refused")
        for file in open_folder.iterdir():
            file.chmod(0o644)
        works(history)
        history.close()

    in_child(act, user=NOBODY)


@pytest.mark.parametrize("name", ["history.db", "new.db"])
def test_a_read_only_folder_is_named(open_folder: Path, name: str) -> None:
    def act() -> None:
        open_folder.chmod(0o555)
        history = SqlHistory(url=f"sqlite:///{open_folder}/{name}")
        with pytest.raises(StoreReadOnly, match=name):
            grow(history, opened(history), "refused")
        open_folder.chmod(0o755)
        works(history)
        history.close()

    in_child(act, user=NOBODY)


def test_a_dead_server_is_an_error_until_it_is_back(postgres: Server) -> None:
    history = SqlHistory(url=postgres.create("dying"), busy_timeout_s=2)
    works(history)
    postgres.halt(signal.SIGQUIT)
    for _ in range(2):
        with pytest.raises(StoreError, match="the server does not answer") as failure:
            works(history)
        assert "tester:***@" in str(failure.value)
        assert "secret" not in str(failure.value)
    postgres.start()
    works(history)
    history.close()


def test_a_server_that_restarts_between_two_calls_is_not_noticed(postgres: Server) -> None:
    history = SqlHistory(url=postgres.create("restarting"))
    works(history)
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'restarting'"
        )
    works(history)
    postgres.halt()
    postgres.start()
    works(history)
    history.close()


def test_a_connection_cut_inside_a_call_is_an_error_and_nothing_is_stored(
    postgres: Server,
) -> None:
    history = SqlHistory(url=postgres.create("cut"))
    works(history)
    database = history._database  # pyright: ignore[reportPrivateUsage]

    def cut() -> None:
        with database.transaction() as session, postgres.connect() as connection:
            session.change("DELETE FROM contextkit_entries")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cut'"
            )
            session.change("DELETE FROM contextkit_turns")

    with pytest.raises(StoreError, match="the server does not answer"):
        cut()
    works(history)
    history.close()


def test_servers_that_are_not_there_are_named(postgres: Server) -> None:
    nowhere = SqlHistory(url="postgresql://me:secret@127.0.0.1:1/db", busy_timeout_s=1)
    with pytest.raises(StoreError, match=r"me:\*\*\*@127.0.0.1:1/db: the server does not answer"):
        nowhere.list_threads()
    nowhere.close()
    missing = SqlHistory(url=postgres.url("missing"))
    with pytest.raises(StoreError, match='database "missing" does not exist'):
        missing.list_threads()
    missing.close()


def test_a_server_that_takes_no_writes_is_read_only(postgres: Server) -> None:
    history = SqlHistory(url=postgres.create("frozen"))
    works(history)
    thread = opened(history)
    history.close()
    history = SqlHistory(url=history.url)
    with postgres.connect() as connection:
        connection.execute("ALTER DATABASE frozen SET default_transaction_read_only = on")
    assert everything(history, thread)
    with pytest.raises(StoreReadOnly, match="takes no writes"):
        grow(history, thread, "refused")
    with postgres.connect() as connection:
        connection.execute("ALTER DATABASE frozen SET default_transaction_read_only = off")
    works(history)
    history.close()


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    history = SqlHistory(url="postgresql://me@host/db")
    with pytest.raises(StoreError, match=r"pip install 'contextkit\[postgres\]'"):
        history.list_threads()


def test_the_files_are_whole_while_a_history_is_open(sqlite_path: Path) -> None:
    history = SqlHistory(url=f"sqlite:///{sqlite_path}", durability="full")
    works(history)
    with closing(sqlite3.connect(sqlite_path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    history.close()
