"""The memo of every store: values that can be made again, by tenant, space and key."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.errors import StoreError
from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory
from tests.stores.making import Store

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ITEMS = st.dictionaries(NAMES, st.binary(max_size=40), max_size=8)


def test_values_come_back_under_their_keys(store: Store) -> None:
    store.save_memo("acme", "terms/1", {"a": b"\0\xff", "b": b"", "é🛫'\"": b"odd"})
    assert store.load_memo("acme", "terms/1", ["b", "a", "missing", "é🛫'\"", "a"]) == {
        "a": b"\0\xff",
        "b": b"",
        "é🛫'\"": b"odd",
    }
    assert store.load_memo("acme", "terms/1", []) == {}
    assert store.list_memo("acme", "terms/1") == ["a", "b", "é🛫'\""]


def test_a_key_takes_the_newest_value(store: Store) -> None:
    for value in (b"one", b"two"):
        store.save_memo("acme", "s", {"k": value, "other": b"stays"})
    assert store.load_memo("acme", "s", ["k", "other"]) == {"k": b"two", "other": b"stays"}


def test_tenants_and_spaces_are_kept_apart(store: Store) -> None:
    store.save_memo("a", "s", {"k": b"a"})
    store.save_memo("b", "s", {"k": b"b"})
    store.save_memo("a", "t", {"k": b"t"})
    store.drop_memo("a", "s")
    assert store.load_memo("a", "s", ["k"]) == {}
    assert store.load_memo("b", "s", ["k"]) == {"k": b"b"}
    assert store.load_memo("a", "t", ["k"]) == {"k": b"t"}


def test_keys_are_dropped_one_by_one(store: Store) -> None:
    store.save_memo("a", "s", {"1": b"", "2": b"", "3": b""})
    store.drop_memo("a", "s", ["1", "3", "never there"])
    store.drop_memo("a", "s", [])
    assert store.list_memo("a", "s") == ["2"]


def test_thousands_of_keys_at_once(store: Store) -> None:
    items = {f"{i:05}": bytes([i % 256]) * 100 for i in range(5000)}
    store.save_memo("acme", "many", items)
    assert store.load_memo("acme", "many", [*items, "no"]) == items
    assert store.list_memo("acme", "many") == list(items)
    store.drop_memo("acme", "many", list(items)[1:])
    assert store.list_memo("acme", "many") == ["00000"]


def test_what_databases_cannot_keep_is_refused(store: Store) -> None:
    for place in (("a\0", "s", "k"), ("a", "\ud800", "k"), ("a", "s", "k\0")):
        tenant, space, key = place
        with pytest.raises(StoreError, match="NUL or a lone surrogate"):
            store.save_memo(tenant, space, {key: b""})
        with pytest.raises(StoreError, match="NUL or a lone surrogate"):
            store.load_memo(tenant, space, [key])


def test_writers_of_the_same_keys_do_not_hinder_each_other(history: SqlHistory) -> None:
    failures: list[BaseException] = []

    def write(order: int) -> None:
        names = [f"{i}" for i in range(60)][::order]
        try:
            for step in range(5):
                history.save_memo("a", "s", dict.fromkeys(names, b"%d" % step))
        except StoreError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(order,)) for order in (1, -1, 1, -1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert set(history.load_memo("a", "s", [f"{i}" for i in range(60)]).values()) == {b"4"}


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), NAMES, ITEMS), max_size=5))
def test_a_memo_in_memory_is_a_dictionary(writes: list[tuple[str, str, dict[str, bytes]]]) -> None:
    store, model = MemoryHistory(), dict[tuple[str, str], dict[str, bytes]]()
    for tenant, space, items in writes:
        store.save_memo(tenant, space, items)
        model.setdefault((tenant, space), {}).update(items)
    for (tenant, space), items in model.items():
        assert store.list_memo(tenant, space) == sorted(items)
        assert store.load_memo(tenant, space, list(items)) == items
