"""Many writers at once, in threads and in processes: everything stays, in one order."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import contextkit
from contextkit.backend import Reply
from contextkit.errors import StoreBusy, StoreError, ViewConflict
from contextkit.manager import ContextManager
from contextkit.store import StoredView, ThreadRecord
from contextkit.stores.sql import SqlHistory
from tests.stores.making import Store, commit_turn, everything, grow, opened
from tests.stores.processes import Writer, finish


def manager_on(url: str) -> ContextManager:
    return contextkit.load(
        {
            "history": {"kind": "sql", "url": url},
            "budget": {"window": 500, "reply_reserve": 100},
            "policies": ["sliding_window"],
        }
    )


def test_sixty_appends_from_threads_are_sixty_entries(store: Store) -> None:
    thread = opened(store)
    with ThreadPoolExecutor(60) as pool:
        list(pool.map(lambda i: grow(store, thread, f"message {i}"), range(60)))
    entries = everything(store, thread)
    assert sorted(e.message.text for e in entries) == sorted(f"message {i}" for i in range(60))
    assert [e.seq for e in entries] == list(range(60))
    assert list(store.verify()) == []


def test_sixty_cold_opens_are_one_thread(store: Store) -> None:
    with ThreadPoolExecutor(60) as pool:
        opened_ids = set(pool.map(lambda _: opened(store).id, range(60)))
    assert len(opened_ids) == 1


def test_sixty_writes_from_processes_are_sixty(history: SqlHistory) -> None:
    acknowledged = finish([Writer(history.url, "acme", "write", times=4) for _ in range(15)])
    assert len(acknowledged) == 60
    thread = opened(history)
    entries = everything(history, thread)
    n_turns = sum(what == "commit" for what, *_ in acknowledged)
    assert len(entries) == 60 + n_turns
    assert history.head(thread).view_version == len(history.turns(thread)) == n_turns
    assert all(entries[seq].message.text == text for _, seq, text, *_ in acknowledged)
    assert list(history.verify()) == []


def test_one_of_many_views_of_the_same_version_wins(store: Store) -> None:
    thread = opened(store)

    def commit(name: int) -> int:
        try:
            view = StoredView(1, f'"{name}"')
            return store.commit(thread, entries=[], view=view, turn=f'"{name}"')
        except ViewConflict:
            return 0

    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(commit, range(20)))
    assert sorted(numbers) == [0] * 19 + [1]
    view = store.view(thread)
    assert view is not None
    assert [t.body for t in store.turns(thread)] == [view.body] == [f'"{numbers.index(1)}"']


def test_turns_committed_at_once_are_numbered_without_gaps(store: Store) -> None:
    thread = opened(store)
    with ThreadPoolExecutor(20) as pool:
        numbers = list(
            pool.map(lambda _: store.commit(thread, entries=[], view=None, turn="{}"), range(20))
        )
    assert sorted(numbers) == list(range(1, 21))


def test_reading_goes_on_while_another_writes(history: SqlHistory) -> None:
    thread = opened(history)
    writer = Writer(history.url, "acme", "write", times=100)
    seen = 0
    while writer.is_running:
        entries = everything(history, thread)
        assert [e.seq for e in entries] == list(range(len(entries)))
        assert len(entries) >= seen
        seen = len(entries)
        assert list(history.verify()) == []
    assert len(writer.finish()) == 100


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_opens_its_own_connections(history: SqlHistory) -> None:
    thread = opened(history)
    grow(history, thread, "parent")
    child = os.fork()
    if child == 0:
        try:
            grow(history, thread, "child")
            commit_turn(history, thread)
        except BaseException:  # noqa: BLE001  a child of a test must not run on into pytest
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    grow(history, thread, "parent again")
    assert [e.message.text for e in everything(history, thread)] == [
        "parent",
        "child",
        "parent again",
    ]
    assert list(history.verify()) == []


def test_waiting_for_a_connection_ends_as_busy(history: SqlHistory) -> None:
    small = SqlHistory(url=history.url, pool_size=1, busy_timeout_s=0.2)
    thread = opened(small)
    grow(small, thread, "one")
    walks = [small.verify() for _ in range(11)]
    history.commit(thread, entries=[], view=None, turn="not json")
    with history._database.transaction() as session:  # pyright: ignore[reportPrivateUsage]
        session.change("UPDATE contextkit_entries SET total = '9,9'")
    assert all(next(walk) for walk in walks)
    with pytest.raises(StoreBusy, match=r"no connection of the pool was free for 0\.2 s"):
        small.head(thread)
    for walk in walks:
        walk.close()  # type: ignore[attr-defined]
    assert small.head(thread).n_entries == 1
    small.close()


def test_sessions_under_way_survive_the_failure_of_another(history: SqlHistory) -> None:
    thread = opened(history)
    grow(history, thread, "one")
    database = history._database  # pyright: ignore[reportPrivateUsage]
    with database.session() as session:
        with pytest.raises(StoreError, match="no_such_table"), database.session() as failing:
            failing.rows("SELECT * FROM no_such_table")
        assert session.rows("SELECT count(*) FROM contextkit_entries") == [(1,)]
    assert history.head(thread).n_entries == 1


def test_a_turn_that_is_committed_while_another_writer_looks(
    history: SqlHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log's length and its view are read one after the other; a turn may come between them."""
    with manager_on(history.url) as one, manager_on(history.url) as other:
        thread = one.thread("t")
        thread.respond("one")
        read = SqlHistory.view

        def view(history: SqlHistory, record: ThreadRecord) -> StoredView | None:
            monkeypatch.undo()
            thread.respond("two")
            return read(history, record)

        late = other.thread("t")
        monkeypatch.setattr(SqlHistory, "view", view)
        call = late.assemble("three")
        assert [m.text for m in call.messages if m.role == "user"] == ["one", "two", "three"]
        late.record(call, Reply.of("fine"))
        assert len(thread) == 6
        assert one.verify() == []
