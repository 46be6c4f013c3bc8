"""Summaries of every store: a chain without gaps, parents in place of their children, always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from contextkit.store import CoverMoved, ThreadRecord
from contextkit.stores.sql import SqlHistory
from contextkit.summary import Source, Summary, parse_summary_handle, source_digest
from tests.stores.making import Store, everything, grow, opened


def summary(store: Store, thread: ThreadRecord, start: int, stop: int, level: int = 1) -> Summary:
    digests = [entry.message.digest for entry in store.entries(thread, start, stop)]
    source = Source(start, stop, source_digest(digests))
    return Summary(start, stop, level, f"told {start} {stop}\0é\ud800", (source,), "extractive")


def talked(store: Store, n: int = 40, name: str = "t") -> ThreadRecord:
    thread = opened(store, name)
    grow(store, thread, *(f"message {i}" for i in range(n)))
    return thread


def spans(summaries: Sequence[Summary]) -> list[tuple[int, int, int]]:
    return [(each.start, each.stop, each.level) for each in summaries]


def test_summaries_follow_each_other_and_come_back_as_they_were(store: Store) -> None:
    thread = talked(store)
    made = [summary(store, thread, 2, 10), summary(store, thread, 10, 20)]
    made[1] = replace(made[1], method="model", prompt="ab", model="m", tainted=True, refused=("x",))
    for each in made:
        store.add_summary(thread, each)
    assert store.cover(thread) == store.summaries(thread) == made
    assert list(store.verify()) == []


def test_a_parent_takes_the_place_of_its_children(store: Store) -> None:
    thread = talked(store)
    leaves = [summary(store, thread, n, n + 10) for n in (0, 10, 20)]
    for leaf in leaves:
        store.add_summary(thread, leaf)
    parent = summary(store, thread, 0, 20, 2)
    store.add_summary(thread, parent, leaves[:2])
    assert store.cover(thread) == [parent, leaves[2]]
    assert store.summaries(thread) == [*leaves, parent]
    inner = summary(store, thread, 20, 30, 2)
    store.add_summary(thread, inner, leaves[2:])
    store.add_summary(thread, summary(store, thread, 0, 30, 3), [parent, inner])
    assert spans(store.cover(thread)) == [(0, 30, 3)]
    assert list(store.verify()) == []


@pytest.mark.parametrize(
    ("start", "stop", "replaced"),
    [(25, 30, ()), (10, 25, ()), (5, 15, (0, 1)), (0, 20, (0,)), (0, 10, ()), (20, 41, ()),
     (0, 25, (0, 1))],
)  # fmt: skip
def test_what_does_not_follow_is_refused_and_changes_nothing(
    store: Store, start: int, stop: int, replaced: tuple[int, ...]
) -> None:
    thread = talked(store)
    leaves = [summary(store, thread, 0, 10), summary(store, thread, 10, 20)]
    for leaf in leaves:
        store.add_summary(thread, leaf)
    with pytest.raises(CoverMoved):
        store.add_summary(
            thread, summary(store, thread, start, stop, 2), [leaves[i] for i in replaced]
        )
    assert store.cover(thread) == store.summaries(thread) == leaves


def test_a_fork_takes_along_what_it_shares(store: Store) -> None:
    thread = talked(store)
    for n in (0, 10, 20):
        store.add_summary(thread, summary(store, thread, n, n + 10))
    fork = store.fork(thread, "fork", at=25)
    assert spans(store.cover(fork)) == [(0, 10, 1), (10, 20, 1)]
    grow(store, fork, *(f"other {i}" for i in range(10)))
    store.add_summary(fork, summary(store, fork, 20, 35))
    assert spans(store.cover(thread)) == [(0, 10, 1), (10, 20, 1), (20, 30, 1)]
    assert list(store.verify()) == []


def test_another_tenant_sees_no_summary(store: Store) -> None:
    thread = talked(store)
    store.add_summary(thread, summary(store, thread, 0, 10))
    other = opened(store, tenant="other")
    assert store.cover(other) == []
    stolen = replace(thread, tenant="other")
    if isinstance(store, SqlHistory):
        assert store.cover(stolen) == store.summaries(stolen) == []


def test_verify_names_a_summary_whose_sources_are_others(store: Store) -> None:
    thread = talked(store)
    good = summary(store, thread, 0, 10)
    source = replace(good.sources[0], digest="00" * 32)
    store.add_summary(thread, replace(good, sources=(source,)))
    short = summary(store, thread, 10, 20)
    store.add_summary(thread, replace(short, sources=(summary(store, thread, 10, 15).sources[0],)))
    found = [problem.what for problem in store.verify()]
    assert found == [
        "summary s1.0-9: entries 0..9 are not those that it was made from",
        "summary s1.10-19 has no source for entry 15",
    ]


def chained(history: SqlHistory) -> ThreadRecord:
    thread = talked(history)
    for n in (0, 10, 20):
        history.add_summary(thread, summary(history, thread, n, n + 10))
    return thread


@pytest.mark.parametrize(
    "forged",
    [
        "INSERT INTO contextkit_cover VALUES (1, 5, 15, 1, 5)",
        "INSERT INTO contextkit_cover VALUES (1, 12, 14, 1, NULL)",
        "INSERT INTO contextkit_cover VALUES (1, 35, 38, 1, 35)",
        "DELETE FROM contextkit_cover WHERE start = 10",
        "UPDATE contextkit_cover SET stop = 25 WHERE start = 10",
        "UPDATE contextkit_cover SET stop = 10 WHERE start = 10",
        "UPDATE contextkit_cover SET start = 5 WHERE start = 10",
        "UPDATE contextkit_cover SET level = 2 WHERE start = 20",
        "DELETE FROM contextkit_summaries WHERE start = 10",
    ],
)
def test_the_database_itself_refuses_gaps_and_overlaps(history: SqlHistory, forged: str) -> None:
    thread = chained(history)
    forged = forged.replace("(1,", f"({thread.id},", 1)
    engine = sa.create_engine(history.url)
    with pytest.raises(IntegrityError), engine.begin() as connection:  # noqa: PT012
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        for stated in ((5, 15), (12, 14), (35, 38)):
            connection.exec_driver_sql(
                "INSERT INTO contextkit_summaries (thread_id, level, start, stop, body)"
                f" VALUES ({thread.id}, 1, {stated[0]}, {stated[1]}, '')"
            )
        connection.exec_driver_sql(forged)
    engine.dispose()
    assert spans(history.cover(thread)) == [(0, 10, 1), (10, 20, 1), (20, 30, 1)]


def test_verify_names_a_gap_that_was_forced_in(history: SqlHistory) -> None:
    chained(history)
    engine = sa.create_engine(history.url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM contextkit_cover WHERE start = 10")
        connection.exec_driver_sql("UPDATE contextkit_summaries SET body = '{}' WHERE start = 20")
        connection.commit()
        assert any("cannot be read" in problem.what for problem in history.verify())
        connection.exec_driver_sql("DELETE FROM contextkit_summaries WHERE start = 20")
        connection.commit()
    engine.dispose()
    assert "2 summaries are in force, 1 of them are there" in [p.what for p in history.verify()]


def test_a_cut_log_shows_against_its_summaries(history: SqlHistory) -> None:
    thread = chained(history)
    engine = sa.create_engine(history.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM contextkit_entries WHERE seq >= 25")
    engine.dispose()
    found = [problem.what for problem in history.verify()]
    assert "the summaries reach to 30, the log has 25 entries" in found
    assert len(everything(history, thread)) == 25


def test_handles_say_level_and_place() -> None:
    assert parse_summary_handle("s2.12-57") == (12, 58)
    assert parse_summary_handle("s1.3-3") == (3, 4)
    for text in ("", "m1-2", "s1.5-3", "s1.3", "sx.1-2", "s1.1-2x", "s1.1-9999999999"):
        assert parse_summary_handle(text) is None
