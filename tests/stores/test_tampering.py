"""`verify` finds what someone changed behind the store's back, and says where."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contextkit.errors import StoreCorrupt
from contextkit.store import Problem
from contextkit.stores.sql import SqlHistory
from tests.stores.making import after, commit_turn, everything, grow, opened, tool_conversation

AT = "WHERE thread_id = (SELECT min(id) FROM contextkit_threads) AND seq = 4"
ENTRIES = "UPDATE contextkit_entries SET"
OPEN = f"{ENTRIES} open = " + "'{\"call-9\": 2}' "

ONE_ROW = {
    "body": (f"{ENTRIES} body = replace(body, 'rain', 'hail') {AT}", "the digest is not that"),
    "digest": (f"{ENTRIES} digest = chain {AT}", "the digest is not that of the body"),
    "measure": (f"{ENTRIES} measure = '1000,1000' {AT}", "the sum of the measures is"),
    "total": (f"{ENTRIES} total = '1,1' {AT}", r"the total is \(1, 1\)"),
    "chain": (f"{ENTRIES} chain = digest {AT}", "the chain value does not follow"),
    "group": (f"{ENTRIES} grp = 0 {AT}", "group is 0, the log gives 2"),
    "request": (f"{ENTRIES} request = -1 {AT}", "request is -1, the log gives 1"),
    "open": (f"{OPEN} {AT}", r"open calls are \['call-9'\]"),
    "not json": (f"{ENTRIES} body = '?' {AT}", "cannot be read"),
    "not a measure": (f"{ENTRIES} measure = 'x' {AT}", "cannot be read"),
    "missing": (f"DELETE FROM contextkit_entries {AT}", "missing: the next stored entry is 5"),
}


@pytest.fixture
def damaged(history: SqlHistory) -> SqlHistory:
    """A history with a thread of nine entries, a fork of it, a view and two turns."""
    thread = opened(history)
    history.append(thread, after(None, tool_conversation()))
    commit_turn(history, thread, "turn")
    commit_turn(history, thread, "turn")
    grow(history, history.fork(thread, "fork", at=8), "of the fork")
    assert list(history.verify()) == []
    return history


def run_sql(history: SqlHistory, text: str) -> None:
    with history._database.transaction() as session:  # pyright: ignore[reportPrivateUsage]
        assert session.change(text) >= 1


@pytest.mark.parametrize("what", ONE_ROW)
def test_a_changed_row_is_found_where_it_is(damaged: SqlHistory, what: str) -> None:
    statement, finding = ONE_ROW[what]
    run_sql(damaged, statement)
    problems = list(damaged.verify())
    assert {(p.tenant, p.thread) for p in problems} == {("acme", "t")}
    assert problems[0].seq == 4
    assert all(p.seq in (4, 5) for p in problems)
    with pytest.raises(AssertionError, match=finding):
        raise AssertionError(problems[0].what)
    assert list(damaged.verify("other")) == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE contextkit_views SET body = '{'", "the view: its JSON does not parse"),
        ("UPDATE contextkit_views SET version = 0", "its version is 0"),
        ("DELETE FROM contextkit_turns WHERE number = 1", "turn 1 is missing"),
        (
            "DELETE FROM contextkit_entries WHERE seq >= 10",
            "closed at 11 entries, now there are 10",
        ),
    ],
)
def test_views_turns_and_a_cut_off_end_are_checked(
    damaged: SqlHistory, statement: str, finding: str
) -> None:
    run_sql(damaged, statement)
    problems = [p for p in damaged.verify() if p.thread == "t"]
    assert [p.seq for p in problems] == [None]
    assert finding in problems[0].what


def test_a_fork_whose_parent_lost_its_entries_says_so(damaged: SqlHistory) -> None:
    run_sql(damaged, "DELETE FROM contextkit_entries WHERE seq = 7")
    problems = {(p.thread, p.seq): p.what for p in damaged.verify()}
    assert "does not reach so far" in problems["fork", 7]
    assert "missing" in problems["t", 7]


def test_verify_streams(damaged: SqlHistory) -> None:
    run_sql(damaged, "UPDATE contextkit_entries SET chain = digest")
    problems: Iterator[Problem] = damaged.verify()
    assert next(problems).thread == "fork"
    problems.close()  # type: ignore[attr-defined]
    assert len(list(damaged.verify())) > 9


def test_an_entry_that_cannot_be_read_is_corrupt(damaged: SqlHistory) -> None:
    run_sql(damaged, ONE_ROW["not json"][0])
    with pytest.raises(StoreCorrupt, match=r"entry 4 of thread 't'.*contextkit verify"):
        everything(damaged, opened(damaged))
