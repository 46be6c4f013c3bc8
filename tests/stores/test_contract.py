"""What every store must do: one suite over memory, SQLite and PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest

from contextkit.errors import StoreError, ViewConflict
from contextkit.log import Entry
from contextkit.store import Head, HistoryStore, SeqTaken, StoredView, ThreadRecord
from contextkit.stores.memory import MemoryHistory
from tests.stores.making import (
    Store,
    after,
    commit_turn,
    everything,
    grow,
    opened,
    remeasured,
    talk,
    tool_conversation,
)

ODD_NAMES = (
    "",
    " ",
    "a/b",
    'O\'Hare "x"; --',
    "%s :name {}",
    "登机口 🛫",
    "e\u0301",
    "é",
    "🛫" * 1000,
)


def test_every_store_is_a_history_store(store: Store) -> None:
    checked: HistoryStore = store
    assert checked.kind in ("memory", "sql")


def test_a_thread_is_found_again_under_its_name_and_tenant(store: Store) -> None:
    assert store.open_thread("acme", "t", counter="quarter", create=False) is None
    thread = opened(store)
    assert store.open_thread("acme", "t", counter="another") == thread
    assert thread.counter == "quarter"
    assert opened(store, tenant="other").id != thread.id


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_names_may_hold_anything(store: Store, name: str) -> None:
    thread = opened(store, name, tenant=name)
    grow(store, thread, "hello")
    assert store.open_thread(name, name, counter="quarter", create=False) == thread
    assert store.list_threads(name) == [thread]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["nul", "surrogate"])
def test_names_that_no_database_keeps_are_refused_everywhere(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="NUL or a lone surrogate"):
        opened(store, name)


def test_threads_are_listed_by_name_for_one_tenant_or_all(store: Store) -> None:
    for tenant, name in (("b", "2"), ("a", "é"), ("b", "1"), ("a", "z")):
        opened(store, name, tenant)
    assert [t.name for t in store.list_threads("b")] == ["1", "2"]
    listed = [(t.tenant, t.name) for t in store.list_threads()]
    assert listed == [("a", "z"), ("a", "é"), ("b", "1"), ("b", "2")]
    assert store.list_threads("nobody") == []


def test_entries_come_back_as_they_were_appended(store: Store) -> None:
    thread = opened(store)
    entries = after(None, tool_conversation())
    store.append(thread, entries[:4])
    store.append(thread, [])
    store.append(thread, entries[4:])
    assert everything(store, thread) == entries
    assert [e.message.digest for e in everything(store, thread)] == [
        e.message.digest for e in entries
    ]
    assert list(everything(store, thread)[2].open) == ["call-1", "call-2"]
    assert store.irregular(thread, 0) == [e.seq for e in entries if e.irregular] != []
    assert store.irregular(thread, 7) == [7]
    assert list(store.verify()) == []


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 6), (8, 99), (-5, 2), (6, 3), (0, 2**63)])
def test_a_range_is_a_slice(store: Store, start: int, stop: int) -> None:
    thread = opened(store)
    entries = grow(store, thread, *map(str, range(9)))
    assert store.entries(thread, start, stop) == entries[max(start, 0) : max(stop, 0)]


@pytest.mark.parametrize("first", [0, 1, 3], ids=["taken", "taken later", "gap"])
def test_an_append_that_is_not_the_next_stores_nothing(store: Store, first: int) -> None:
    thread = opened(store)
    grow(store, thread, "one", "two")
    entries = after(None, talk("1", "2", "3", "4", "5"))
    with pytest.raises(SeqTaken):
        store.append(thread, entries[first:])
    assert store.head(thread) == Head(2, 0)


def test_a_commit_stores_entries_view_and_turn_together(store: Store) -> None:
    thread = opened(store)
    assert store.view(thread) is None
    assert commit_turn(store, thread, "ask", "answer") == 1
    assert commit_turn(store, thread, "more") == 2
    assert store.commit(thread, entries=[], view=None, turn=None) == 0
    assert store.commit(thread, entries=[], view=None, turn='{"third":1}') == 3
    assert store.head(thread) == Head(3, 2)
    assert store.view(thread) == StoredView(2, '{"pieces":[]}')
    assert [(t.number, t.body) for t in store.turns(thread)][2] == (3, '{"third":1}')
    assert all(t.closed_at.endswith("+00:00") for t in store.turns(thread))
    assert store.last_turn(thread) == 3


@pytest.mark.parametrize(
    ("start", "stop", "numbers"),
    [
        (1, None, [1, 2, 3, 4]),
        (3, None, [3, 4]),
        (2, 4, [2, 3]),
        (-5, 2, [1]),
        (0, 0, []),
        (4, 10**12, [4]),
        (5, None, []),
        (10**12, 10**13, []),
        (3, 2, []),
    ],
)
def test_turns_by_range(store: Store, start: int, stop: int | None, numbers: list[int]) -> None:
    thread = opened(store)
    assert store.last_turn(thread) == 0
    for number in range(4):
        commit_turn(store, thread, f"ask {number}")
    assert [t.number for t in store.turns(thread, start, stop)] == numbers
    assert store.last_turn(thread) == 4


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_view_that_does_not_follow_stores_nothing_of_its_turn(store: Store, version: int) -> None:
    thread = opened(store)
    commit_turn(store, thread, "ask")
    entries = after(everything(store, thread)[-1], talk("x"))
    with pytest.raises(ViewConflict, match="version 1"):
        store.commit(thread, entries=entries, view=StoredView(version, "{}"), turn="{}")
    assert store.head(thread) == Head(1, 1)
    assert len(store.turns(thread)) == 1


def test_a_turn_whose_entries_are_taken_stores_nothing(store: Store) -> None:
    thread = opened(store)
    commit_turn(store, thread, "ask")
    with pytest.raises(SeqTaken):
        store.commit(thread, entries=after(None, talk("x")), view=StoredView(2, "{}"), turn="{}")
    assert store.head(thread) == Head(1, 1)
    assert len(store.turns(thread)) == 1


def test_a_fork_shares_entries_and_goes_its_own_way(store: Store) -> None:
    thread = opened(store)
    entries = grow(store, thread, *map(str, range(6)))
    commit_turn(store, thread)
    fork = store.fork(thread, "fork", at=4)
    assert (fork.parent, fork.forked_at, fork.counter) == (thread.id, 4, "quarter")
    assert store.head(fork) == Head(4, 0)
    mine = grow(store, fork, "other")
    assert everything(store, fork) == entries[:4] + mine
    assert everything(store, thread) == entries
    assert store.entries(fork, 3, 5) == [entries[3], mine[0]]
    assert store.view(fork) is None
    assert store.turns(fork) == []
    assert opened(store, "fork") == fork
    assert list(store.verify()) == []


@pytest.mark.parametrize("at", [0, 2, 4, 6])
def test_a_fork_of_a_fork_reads_through_both(store: Store, at: int) -> None:
    thread = opened(store)
    entries = after(None, tool_conversation())
    store.append(thread, entries[:8])
    fork = store.fork(thread, "fork", at=4)
    store.append(fork, entries[4:])
    second = store.fork(fork, "second", at=at)
    third = store.fork(second, "third", at=at)
    assert everything(store, third) == entries[:at]
    store.append(third, entries[at:])
    assert everything(store, third) == entries
    assert store.irregular(third, 0) == store.irregular(fork, 0)
    assert list(store.verify()) == []


@pytest.mark.parametrize("at", [-1, 4])
def test_a_fork_begins_inside_the_log(store: Store, at: int) -> None:
    thread = opened(store)
    grow(store, thread, "1", "2", "3")
    with pytest.raises(StoreError, match="any place from 0 to 3"):
        store.fork(thread, "fork", at=at)


def test_a_fork_needs_a_new_name(store: Store) -> None:
    thread = opened(store)
    opened(store, "taken")
    with pytest.raises(StoreError, match="another name"):
        store.fork(thread, "taken", at=0)


def test_recounting_replaces_measures_and_counter(store: Store) -> None:
    thread = opened(store)
    entries = after(None, tool_conversation())
    store.append(thread, entries)

    def recounted() -> Iterator[Entry]:
        # Reads the store while it is being recounted, the way a manager streams a long log.
        yield from remeasured(everything(store, thread), 3)

    again = store.recount(thread, "triple", recounted())
    assert again.counter == "triple"
    assert opened(store) == again
    assert everything(store, again) == remeasured(entries, 3)
    assert list(store.verify()) == []


def test_forks_keep_their_counter_when_the_parent_is_recounted(store: Store) -> None:
    thread = opened(store)
    entries = grow(store, thread, *map("word {}".format, range(6)))
    fork = store.fork(thread, "fork", at=4)
    own = grow(store, fork, "of the fork")
    second = store.fork(fork, "second", at=2)
    store.recount(thread, "triple", iter(remeasured(entries, 3)))
    for stale in (True, False):
        assert everything(store, fork if stale else opened(store, "fork")) == entries[:4] + own
        assert everything(store, second if stale else opened(store, "second")) == entries[:2]
    assert list(store.verify()) == []


def test_a_fork_is_recounted_without_its_parent(store: Store) -> None:
    thread = opened(store)
    entries = grow(store, thread, *map("word {}".format, range(6)))
    fork = store.fork(thread, "fork", at=4)
    again = store.recount(fork, "triple", iter(remeasured(entries[:4], 3)))
    grow(store, again, "more")
    assert again.parent == thread.id
    assert everything(store, again)[:4] == remeasured(entries[:4], 3)
    assert everything(store, thread) == entries
    assert opened(store).counter == "quarter"
    assert list(store.verify()) == []


def test_a_recount_of_another_length_changes_nothing(store: Store) -> None:
    thread = opened(store)
    entries = grow(store, thread, "1", "2", "3")
    with pytest.raises(SeqTaken):
        store.recount(thread, "triple", iter(remeasured(entries[:2], 3)))
    assert everything(store, opened(store)) == entries
    assert opened(store).counter == "quarter"


def test_a_recount_whose_counting_fails_changes_nothing(store: Store) -> None:
    thread = opened(store)
    entries = grow(store, thread, *map(str, range(1200)))

    def failing() -> Iterator[Entry]:
        yield from remeasured(entries[:1100], 3)
        raise ValueError("the tokenizer broke")

    with pytest.raises(ValueError, match="the tokenizer broke"):
        store.recount(thread, "triple", failing())
    assert everything(store, opened(store)) == entries
    again = store.recount(thread, "triple", iter(remeasured(entries, 3)))
    assert everything(store, again) == remeasured(entries, 3)


def test_nothing_counted_the_old_way_is_appended_after_a_recount(store: Store) -> None:
    thread = opened(store)
    grow(store, thread, "1")
    again = store.recount(thread, "triple", iter(remeasured(everything(store, thread), 3)))
    with pytest.raises(StoreError, match="recounted for counter 'triple'"):
        grow(store, thread, "2")
    with pytest.raises(StoreError, match="open the thread again"):
        store.commit(thread, entries=[], view=StoredView(1, "{}"), turn=None)
    grow(store, again, "2")


def test_state_is_kept_by_key(store: Store) -> None:
    assert store.load_state("counter/x") is None
    store.save_state("counter/x", '{"rate": 1}')
    store.save_state("counter/x", '{"rate": 2}')
    store.save_state("counter/y", "")
    assert store.load_state("counter/x") == '{"rate": 2}'
    assert store.load_state("counter/y") == ""


def test_a_thread_id_opens_nothing_for_another_tenant(store: Store) -> None:
    thread = opened(store)
    grow(store, thread, "secret")
    commit_turn(store, thread, "more")
    forged = ThreadRecord(thread.id, "mallory", thread.name, thread.counter)
    for act in (
        lambda: store.head(forged),
        lambda: store.append(forged, after(None, talk("x"))),
        lambda: store.commit(forged, entries=[], view=None, turn="{}"),
        lambda: store.fork(forged, "f", at=0),
        lambda: store.recount(forged, "c", iter(everything(store, thread))),
    ):
        with pytest.raises(StoreError, match="no thread 't' of tenant 'mallory'"):
            act()
    for read in (
        lambda: store.entries(forged, 0, 9),
        lambda: store.irregular(forged, 0),
        lambda: [view for view in [store.view(forged)] if view],
        lambda: store.turns(forged),
    ):
        with suppress(StoreError):
            assert read() == []
    assert list(store.verify("mallory")) == []


def test_a_closed_store_says_so(store: Store) -> None:
    thread = opened(store)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.head(thread)


def test_a_store_is_its_fields(store: Store) -> None:
    assert type(store).model_validate(store.model_dump()).model_dump() == store.model_dump()


@pytest.mark.parametrize("seed", range(3))
def test_any_course_of_events_reads_as_in_memory(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    stores: tuple[Store, Store] = (store, MemoryHistory())
    names = ["t0"]
    for step in range(40):
        name, place = chance.choice(names), chance.random()
        act = chance.choice(["grow", "grow", "commit", "fork", "recount"])
        for each in stores:
            thread = opened(each, name)
            log = everything(each, thread)
            if act == "grow":
                grow(each, thread, *(f"step {step}" for _ in range(int(place * 4) + 1)))
            elif act == "commit":
                commit_turn(each, thread, f"turn {step}")
            elif act == "fork":
                each.fork(thread, f"t{len(names)}", at=round(place * len(log)))
            else:
                each.recount(thread, f"counter {step}", iter(remeasured(log, step % 4)))
        names += [f"t{len(names)}"] if act == "fork" else []
    for name in names:
        left, right = (opened(each, name) for each in stores)
        assert everything(stores[0], left) == everything(stores[1], right)
        assert stores[0].head(left) == stores[1].head(right)
        assert (left.counter, left.forked_at) == (right.counter, right.forked_at)
    assert list(store.verify()) == []
