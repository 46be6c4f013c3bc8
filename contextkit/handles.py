"""From a handle back to the bytes: entries of the log, what a summary stands on, chunks of documents."""

from __future__ import annotations

from typing import cast

from contextkit.documents import parse_chunk_handle
from contextkit.errors import UnknownHandle
from contextkit.expansion import Expansion
from contextkit.messages import text_message
from contextkit.piece import parse_handle
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.summary import parse_summary_handle


def expand(history: HistoryStore, record: ThreadRecord, n_entries: int, handle: str) -> Expansion:
    """What stands behind a handle in a thread of `n_entries`; raises `UnknownHandle`."""
    if not isinstance(cast("object", handle), str):
        kind = type(handle).__name__
        raise UnknownHandle(f"{handle!r} is no handle but of type {kind}; 'm17' names an entry")
    if (named := parse_chunk_handle(handle)) is not None:
        return _chunks(history, record, handle, *named)
    span = parse_handle(handle) or parse_summary_handle(handle)
    if span is None or span[1] > n_entries:
        reach = f"goes up to m{n_entries - 1}" if n_entries else "is empty"
        raise UnknownHandle(
            f"{handle[:80]!r} names nothing in thread {record.name!r}; handles look like m17, m3-17, "
            f"s1.3-17 or d1.0 and this thread {reach}"
        )
    return Expansion(handle, [entry.message for entry in history.entries(record, *span)])


def _chunks(
    history: HistoryStore, record: ThreadRecord, handle: str, document: int, chunk: int | None
) -> Expansion:
    start, stop = (0, None) if chunk is None else (chunk, chunk + 1)
    chunks = history.chunks(record, document, start, stop)
    if not chunks:
        documents = [f"{d.handle} ({d.n_chunks} chunks)" for d in history.documents(record)]
        known = ", ".join(documents) or "none"
        raise UnknownHandle(
            f"{handle[:80]!r} names nothing in thread {record.name!r}; its documents: {known}"
        )
    return Expansion(handle, [text_message("user", "".join(each.text for each in chunks))])
