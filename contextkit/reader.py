"""Reading a log through a bounded cache: a turn fetches what it shows and a few entries more."""

from __future__ import annotations

from collections.abc import Sequence

from contextkit.log import Entry
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.tokens import Measure, subtract

CACHED_ENTRIES = 8192
"""Entries kept in memory between turns at the least; more where one call shows more."""

GAP = 8
"""Entries between two wanted ranges that cost less to fetch than another query."""


class LogReader:
    """The stored entries of one thread, fetched in ranges and remembered.

    Entries never change, so what is remembered is never stale; only `n_entries` is asked anew.
    """

    def __init__(self, store: HistoryStore, record: ThreadRecord, zero: Measure) -> None:
        self.store = store
        self.record = record
        self.zero = zero
        self.n_entries = 0
        self._cache: dict[int, Entry] = {}

    @property
    def newest(self) -> Entry | None:
        return self.entry(self.n_entries - 1) if self.n_entries else None

    def entry(self, seq: int) -> Entry:
        found = self._cache.get(seq)
        if found is not None:
            return found
        for entry in self.store.entries(self.record, seq, seq + 1):
            self._cache[seq] = entry
            return entry
        raise IndexError(seq)

    def entries(self, start: int, stop: int) -> list[Entry]:
        cache = self._cache
        try:
            return [cache[seq] for seq in range(start, stop)]
        except KeyError:
            self._fetch(start, stop)
            return [cache[seq] for seq in range(start, stop)]

    def _fetch(self, start: int, stop: int) -> None:
        """Fetch the missing entries of a range, one query for each gap."""
        cache = self._cache
        seq = start
        while seq < stop:
            if seq in cache:
                seq += 1
                continue
            end = seq + 1
            while end < stop and end not in cache:
                end += 1
            cache.update((e.seq, e) for e in self.store.entries(self.record, seq, end))
            seq = end

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch what will be read, ascending ranges; small gaps between them come along."""
        joined: list[tuple[int, int]] = []
        for start, stop in ranges:
            if joined and start - joined[-1][1] <= GAP:
                joined[-1] = joined[-1][0], max(stop, joined[-1][1])
            else:
                joined.append((start, stop))
        for start, stop in joined:
            self._fetch(start, min(stop, self.n_entries))

    def remember(self, entries: Sequence[Entry]) -> None:
        """Entries that were just appended need not be read again."""
        self._cache.update((entry.seq, entry) for entry in entries)
        if entries:
            self.n_entries = max(self.n_entries, entries[-1].seq + 1)

    def trim(self, keep: int) -> None:
        """Forget the oldest fetched entries where far more than `keep` are held."""
        limit = max(CACHED_ENTRIES, 2 * keep)
        if len(self._cache) > 2 * limit:
            newest = list(self._cache.items())[-limit:]
            self._cache = dict(newest)


class TurnLog:
    """A reader with this turn's new entries behind it; the `LogView` of a draft."""

    def __init__(self, reader: LogReader, pending: Sequence[Entry], n_entries: int) -> None:
        self._reader = reader
        self.pending = tuple(pending)
        self.n_entries = n_entries
        self._stop = n_entries + len(self.pending)

    @property
    def stop(self) -> int:
        return self._stop

    def entry(self, seq: int) -> Entry:
        if not 0 <= seq < self._stop:
            raise IndexError(seq)
        return (
            self.pending[seq - self.n_entries] if seq >= self.n_entries else self._reader.entry(seq)
        )

    def entries(self, start: int, stop: int) -> list[Entry]:
        n = self.n_entries
        if stop <= n:
            return self._reader.entries(start, stop)
        new = list(self.pending[max(0, start - n) : stop - n])
        return self._reader.entries(start, n) + new if start < n else new

    def span(self, start: int, stop: int) -> Measure:
        if start >= stop:
            return self._reader.zero
        total = self.entry(stop - 1).total
        return subtract(total, self.entry(start - 1).total) if start else total
