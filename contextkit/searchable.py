"""What of a thread can be searched: the words of its entries and the chunks of its documents."""

from __future__ import annotations

from collections.abc import Iterator

from contextkit.log import Entry
from contextkit.piece import entry_handle
from contextkit.store import HistoryStore, ThreadRecord

PAGE = 1000
"""Entries or chunks that are read at a time."""


def entry_text(entry: Entry) -> str:
    """The words of an entry that are searched and embedded; empty for instructions and silent calls."""
    message = entry.message
    return "" if message.role in ("system", "developer") else message.text


def pages(store: HistoryStore, thread: ThreadRecord) -> Iterator[list[tuple[str, str]]]:
    """(handle, text) of everything in a thread that can be searched, a page at a time."""
    n_entries = store.head(thread).n_entries
    for start in range(0, n_entries, PAGE):
        entries = store.entries(thread, start, start + PAGE)
        yield [
            (entry_handle(e.seq, e.seq + 1), text)
            for e in entries
            if (text := entry_text(e)).strip()
        ]
    for document in store.documents(thread):
        for start in range(0, document.n_chunks, PAGE):
            chunks = store.chunks(thread, document.number, start, start + PAGE)
            yield [(chunk.handle, chunk.text) for chunk in chunks if chunk.text.strip()]


def size(store: HistoryStore, thread: ThreadRecord) -> int:
    """How many entries and chunks a thread has, those without words among them."""
    n_chunks = sum(document.n_chunks for document in store.documents(thread))
    return store.head(thread).n_entries + n_chunks
