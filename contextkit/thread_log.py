"""The log of one thread as this process sees it, kept up to date with what others append."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from contextkit import view as views
from contextkit.errors import InvalidMessage, StoreError, ViewConflict
from contextkit.log import Entry, chain_entries
from contextkit.messages import Message
from contextkit.reader import LogReader, TurnLog
from contextkit.store import HistoryStore, SeqTaken, ThreadRecord
from contextkit.tokens import Measure, TokenCounter
from contextkit.view import View

T = TypeVar("T")

RETRIES = 1000
"""Appends that lost the race to another writer are tried again, each time behind the winner."""


class ThreadLog:
    """Entries, view and pairing faults of a thread. Not safe to share: `Thread` holds the lock."""

    def __init__(self, store: HistoryStore, record: ThreadRecord, counter: TokenCounter) -> None:
        self.store = store
        self.record = record
        self.counter = counter
        self.reader = LogReader(store, record, counter.zero)
        self.view = View()
        self._irregular: list[int] = []
        self._looked_up_to = 0

    @property
    def n_entries(self) -> int:
        return self.reader.n_entries

    def refresh(self) -> None:
        """See what other processes appended and committed; one cheap query where nothing did."""
        head = self.store.head(self.record)
        self.reader.n_entries = head.n_entries
        if head.view_version != self.view.version:
            stored = self.store.view(self.record)
            if stored is None:
                self.view = View()
                return
            # A turn that was committed between the two reads: its view covers entries behind that head.
            head = self.store.head(self.record)
            self.reader.n_entries = head.n_entries
            body = json.loads(stored.body)
            covered = views.shown_ranges(body)
            newest = (covered[-1][1] if covered else 0, head.n_entries)
            self.reader.prefetch([*covered, newest] if newest[1] - newest[0] < 64 else covered)
            log = TurnLog(self.reader, (), head.n_entries)
            self.view = views.load(stored.version, body, log, self.counter)

    def chained(
        self,
        messages: Sequence[Message],
        measures: Sequence[Measure],
        known: Sequence[Entry] = (),
    ) -> list[Entry]:
        """The entries that messages become behind the newest one. Raises `InvalidMessage`.

        `known` are the entries that the first of them were when the log ended at `known[0].seq`.
        """
        if not known or known[0].seq != self.n_entries:
            return chain_entries(self.reader.newest, messages, measures, self.counter.zero)
        n, zero = len(known), self.counter.zero
        return [*known, *chain_entries(known[-1], messages[n:], measures[n:], zero)]

    def write(
        self,
        messages: Sequence[Message],
        measures: Sequence[Measure],
        store: Callable[[list[Entry]], T],
        known: Sequence[Entry] = (),
        *,
        at: int | None = None,
    ) -> tuple[list[Entry], T]:
        """Chain, store and remember; where another writer came first, again behind it.

        `known`: as `chained` takes it. `at`: the only place where they may stand; raises `ViewConflict`
        where the log is longer.
        """
        for _ in range(RETRIES):
            if at is not None and self.n_entries != at:
                raise ViewConflict(
                    f"thread {self.record.name!r} has {self.n_entries} entries, not {at}: someone else "
                    "went on with it; assemble again"
                )
            try:
                entries = self.chained(messages, measures, known)
            except InvalidMessage:  # unless what it answers was appended elsewhere meanwhile
                n_seen = self.n_entries
                self.refresh()
                if self.n_entries == n_seen:
                    raise
                continue
            try:
                stored = store(entries)
            except (SeqTaken, ViewConflict):
                self.refresh()
                continue
            self._remember(entries)
            return entries, stored
        raise StoreError(
            f"thread {self.record.name!r}: other writers won {RETRIES} times; try again later"
        )

    def is_irregular(self) -> bool:
        """Whether any entry needs a pairing repair; each entry is asked about once."""
        if self.n_entries > self._looked_up_to:
            self._irregular += self.store.irregular(self.record, self._looked_up_to)
            self._looked_up_to = self.n_entries
        return bool(self._irregular)

    def _remember(self, entries: Sequence[Entry]) -> None:
        if self._looked_up_to == entries[0].seq:
            self._irregular += [entry.seq for entry in entries if entry.irregular]
            self._looked_up_to = entries[-1].seq + 1
        self.reader.remember(entries)
        self.reader.trim(len(entries))
