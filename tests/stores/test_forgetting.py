"""A thread that is forgotten leaves nothing behind, and takes nothing from others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contextkit
from contextkit.adapters._framework import Bridge, units_of
from contextkit.backend import Reply
from contextkit.dialects import parse_message
from contextkit.errors import StoreError, UnknownThread
from contextkit.manager import ContextManager
from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory
from tests.stores.making import Store, commit_turn, everything, grow, opened
from tests.stores.test_documents import added

SECRET = "the code of the vault is 4711"


def on(history: Any, **more: Any) -> ContextManager:
    budget = {"window": 2_000, "reply_reserve": 100}
    return contextkit.load({"history": history, "budget": budget, **more})


def test_only_what_was_asked_for_goes(store: Store) -> None:
    gone, kept, other = opened(store, "gone"), opened(store, "kept"), opened(store, "gone", "else")
    for thread in (gone, kept, other):
        grow(store, thread, "hello", "there")
        commit_turn(store, thread, "and", "so on")
        added(store, thread, "shared", name="both")
    added(store, gone, "its own")
    store.save_memo("acme", "space", {"a": b"1"})
    store.save_memo("else", "space", {"a": b"1"})
    before = [everything(store, thread) for thread in (kept, other)]
    assert store.forget(gone) == [gone]
    assert store.list_threads() == [kept, other]
    assert [everything(store, thread) for thread in (kept, other)] == before
    assert [d.name for d in store.documents(kept)] == ["both"]
    assert store.chunks(kept, 1)[0].text == "shared"
    assert len(store.turns(kept)) == 1
    assert store.list_memo("acme", "space") == []
    assert store.list_memo("else", "space") == ["a"]
    assert store.open_thread("acme", "gone", counter="quarter", create=False) is None
    assert list(store.verify()) == []
    for use in (store.head, store.forget):
        with pytest.raises(UnknownThread, match="'gone'"):
            use(gone)
    again = opened(store, "gone")
    assert again.id != gone.id
    assert everything(store, again) == []


def test_forks_keep_what_they_share(store: Store) -> None:
    root = opened(store, "root")
    grow(store, root, "a", "b", "c")
    fork = store.fork(root, "fork", at=2)
    leaf = store.fork(fork, "leaf", at=1)
    apart = store.fork(root, "apart", at=0)
    with pytest.raises(StoreError, match=r"2 forks that share its entries \('fork', 'leaf'\)"):
        store.forget(root)
    assert [e.message.text for e in everything(store, leaf)] == ["a"]
    assert store.forget(root, forks=True) == [root, fork, leaf]
    assert store.list_threads() == [apart]
    assert list(store.verify()) == []


def test_no_byte_of_it_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with on(
        {"kind": "sql", "url": f"sqlite:///{path}"}, vectors="memory", embedder="hashing"
    ) as cm:
        thread = cm.thread("t")
        thread.ingest(SECRET.encode())
        thread.respond(SECRET)
        thread.memory.search("vault")
        cm.thread("other").respond("hello")
        assert SECRET.encode() in b"".join(f.read_bytes() for f in tmp_path.iterdir())
        assert cm.forget("t") == 2
        assert SECRET.encode() not in b"".join(f.read_bytes() for f in tmp_path.iterdir())
        assert cm.vectors is not None
        assert cm.vectors.ids("default", where={"thread": thread.record_.id}) == []
        cm.reindex()
        assert cm.verify() == []
        with pytest.raises(UnknownThread):
            cm.forget("t")
        with pytest.raises(UnknownThread, match="no thread 't'"):
            cm.thread("t", create=False)
        assert [record.name for record in cm.threads()] == ["other"]


def test_a_conversation_goes_on_after_another_process_forgot_it(history: SqlHistory) -> None:
    place = {"kind": "sql", "url": history.url}
    said = [{"role": "user", "content": "Which gate?"}]
    with on(place) as one, on(place) as other:
        bridge: Bridge = Bridge(one)
        for turn in range(3):
            assembled = bridge.begin(units_of(said, lambda d: [parse_message(d)]))
            bridge.finish(assembled, lambda: Reply.of("Twelve."))
            said += [
                {"role": "assistant", "content": "Twelve."},
                {"role": "user", "content": f"Sure {turn}?"},
            ]
            if turn == 1:
                (record,) = other.threads()
                assert other.forget(record.name) == 4
        (record,) = one.threads()
        assert len(other.thread(record.name)) == 6
        assert one.verify() == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "fork", "forget", "forget all"]),
        st.integers(0, 7),
        st.integers(0, 5),
    ),
    max_size=25,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_in_any_order_what_is_left_is_whole(
    tmp_path: Path, steps: list[tuple[str, int, int]]
) -> None:
    """The store in memory and the one in SQL end alike, and both are sound."""
    url = f"sqlite:///{tmp_path}/{len(list(tmp_path.iterdir()))}.db"
    stores: list[Store] = [MemoryHistory(), SqlHistory(url=url)]
    ends: list[list[tuple[str, list[str]]]] = []
    for store in stores:
        opened(store, "t0")
        for number, (what, which, at) in enumerate(steps, 1):
            threads = store.list_threads()
            if not threads:
                opened(store, f"t{number}")
                continue
            thread = threads[which % len(threads)]
            if what == "grow":
                grow(store, thread, f"message {number}")
            elif what == "fork":
                store.fork(thread, f"t{number}", at=min(at, store.head(thread).n_entries))
            else:
                with suppress(
                    StoreError
                ):  # it has forks: both stores refuse it, or they end differently
                    store.forget(thread, forks=what == "forget all")
        assert list(store.verify()) == []
        ends.append(
            [(t.name, [e.message.text for e in everything(store, t)]) for t in store.list_threads()]
        )
        store.close()
    assert ends[0] == ends[1]
