"""Counting a log anew for another counter, in blocks, with a progress bar where it takes long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from contextkit.log import Entry
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.tokens import TokenCounter, add

BLOCK = 1000


def recounted(store: HistoryStore, record: ThreadRecord, counter: TokenCounter) -> Iterator[Entry]:
    """The entries of a thread with the measures and totals of `counter`."""
    total = counter.zero
    n_entries = store.head(record).n_entries
    for start in range(0, n_entries, BLOCK):
        for entry in store.entries(record, start, min(start + BLOCK, n_entries)):
            measure = counter.measure(entry.message)
            total = add(total, measure)
            yield replace(entry, measure=measure, total=total)
