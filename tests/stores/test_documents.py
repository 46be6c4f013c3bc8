"""Documents beside the log, in every store."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from sqlalchemy import create_engine

from contextkit.documents import Chunk, Document, content_digest
from contextkit.errors import StoreError
from contextkit.store import ThreadRecord
from contextkit.stores.sql import SqlHistory
from tests.stores.making import Store, grow, opened

TEXT = "text/plain"


def made(*texts: str, name: str = "notes") -> tuple[Document, list[Chunk]]:
    chunks = [Chunk(text, f"p. {number}", number) for number, text in enumerate(texts)]
    return Document(name, TEXT, content_digest(TEXT, chunks), source="/a/b"), chunks


def added(store: Store, thread: ThreadRecord, *texts: str, name: str = "notes") -> Document:
    document, chunks = made(*texts, name=name)
    return store.add_document(thread, document, chunks)


def test_documents_come_back_with_their_chunks(store: Store) -> None:
    thread = opened(store)
    first = added(store, thread, "one 🛫", "", "three\n", name="é/'x'")
    second = added(store, thread, "other")
    assert (first.number, first.n_chunks, first.name, first.source) == (1, 3, "é/'x'", "/a/b")
    assert first.added_at.endswith("+00:00")
    assert (first.handle, second.handle) == ("d1", "d2")
    assert store.documents(thread) == [first, second]
    chunks = store.chunks(thread, 1)
    assert [c.text for c in chunks] == ["one 🛫", "", "three\n"]
    assert [(c.handle, c.place) for c in chunks] == [
        ("d1.0", "p. 0"),
        ("d1.1", "p. 1"),
        ("d1.2", "p. 2"),
    ]
    assert store.chunks(thread, 1, 1, 2) == chunks[1:2]
    assert store.chunks(thread, 1, -3, 99) == chunks
    for nothing in (
        (3, 0, None),
        (0, 0, None),
        (-1, 0, None),
        (1, 3, None),
        (1, 2, 1),
        (2**40, 0, None),
    ):
        assert store.chunks(thread, *nothing) == []
    assert list(store.verify()) == []


def test_the_same_content_is_there_once(store: Store) -> None:
    thread = opened(store)
    first = added(store, thread, "one", "two")
    assert added(store, thread, "one", "two", name="again") == first
    other = opened(store, "other")
    mine = added(store, other, "x")
    assert added(store, other, "one", "two").number == mine.number + 1
    assert [c.text for c in store.chunks(other, 2)] == ["one", "two"]
    assert len(store.documents(thread)) == 1


def test_tenants_share_nothing(store: Store) -> None:
    thread, stranger = opened(store), opened(store, tenant="other")
    added(store, thread, "secret")
    assert store.documents(stranger) == []
    assert store.chunks(stranger, 1) == []
    borrowed = ThreadRecord(thread.id, "other", thread.name, thread.counter)
    with suppress(StoreError):
        assert store.documents(borrowed) == []
    with suppress(StoreError):
        assert store.chunks(borrowed, 1) == []
    assert added(store, stranger, "secret").number == 1


def test_a_fork_takes_along_what_came_before_its_point(store: Store) -> None:
    thread = opened(store)
    added(store, thread, "at the start")
    grow(store, thread, "1", "2")
    added(store, thread, "after two")
    grow(store, thread, "3")
    added(store, thread, "after three")
    fork = store.fork(thread, "fork", at=2)
    assert [c.text for d in store.documents(fork) for c in store.chunks(fork, d.number)] == [
        "at the start",
        "after two",
    ]
    assert added(store, fork, "of the fork").number == 3
    second = store.fork(fork, "second", at=0)
    assert [d.number for d in store.documents(second)] == [1]
    assert [d.number for d in store.documents(thread)] == [1, 2, 3]
    assert store.chunks(thread, 3)[0].text == "after three"
    assert list(store.verify()) == []


def test_what_can_not_be_kept_is_refused_whole(store: Store) -> None:
    thread = opened(store)
    document, chunks = made("one", "two")
    with pytest.raises(StoreError, match="digest is not that of its chunks"):
        store.add_document(thread, document, chunks[:1])
    for text in ("nul \0", "lone \ud800"):
        with pytest.raises(StoreError, match="chunk 1 of document 'notes'"):
            added(store, thread, "fine", text)
    with pytest.raises(StoreError, match="has no thread"):
        store.add_document(ThreadRecord(99, "acme", "no", "quarter"), document, chunks)
    assert store.documents(thread) == []


def test_writers_at_once_give_every_document_a_number(history: SqlHistory) -> None:
    thread = opened(history)

    def add(writer: int) -> None:
        for step in range(4):
            added(history, thread, f"{writer}/{step}", "shared")

    writers = [threading.Thread(target=add, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = history.documents(thread)
    assert [d.number for d in found] == list(range(1, 17))
    texts = {history.chunks(thread, d.number)[0].text for d in found}
    assert texts == {f"{writer}/{step}" for writer in range(4) for step in range(4)}


def test_verify_names_a_document_that_was_tampered_with(history: SqlHistory) -> None:
    thread = opened(history)
    added(history, thread, "one", "two")
    added(history, thread, "three")
    engine = create_engine(history.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE contextkit_chunks SET body = 'forged' WHERE body = 'one'"
        )
        connection.exec_driver_sql("DELETE FROM contextkit_chunks WHERE body = 'three'")
    engine.dispose()
    assert [problem.what for problem in history.verify()] == [
        "document d1: the digest is not that of its chunks",
        "document d2: 0 of 1 chunks are there",
    ]
