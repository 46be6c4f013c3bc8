"""A recorded log that a real thread reads: every entry is known, the thread sees as far as it may.

Entries follow from the messages and the counter alone, so all configurations of a comparison that
count alike share one list of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from contextkit import view as views
from contextkit.call import Call
from contextkit.errors import StoreError
from contextkit.log import Entry, chain_entries
from contextkit.manager import ContextManager
from contextkit.messages import Message
from contextkit.reader import LogReader
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.thread import Thread
from contextkit.thread_log import ThreadLog
from contextkit.tokens import TokenCounter

if TYPE_CHECKING:
    from contextkit.recall.memory import Memory
    from contextkit.summaries.in_force import Summaries


def chain(counter: TokenCounter, messages: Sequence[Message]) -> list[Entry]:
    """The entries of a recorded conversation. Raises `InvalidMessage` naming the message."""
    measures = [counter.measure(message) for message in messages]
    return chain_entries(None, messages, measures, counter.zero)


class _Reader(LogReader):
    """Reads entries that are all in memory."""

    def __init__(self, store: HistoryStore, record: ThreadRecord, all_entries: list[Entry]) -> None:
        super().__init__(store, record, ())
        self._all = all_entries

    def entry(self, seq: int) -> Entry:
        return self._all[seq]

    def entries(self, start: int, stop: int) -> list[Entry]:
        return self._all[start:stop]

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Nothing has to be fetched."""

    def trim(self, keep: int) -> None:
        """Nothing is forgotten."""


class _Log(ThreadLog):
    """The part of a recorded log that was said so far."""

    def __init__(
        self, store: HistoryStore, record: ThreadRecord, counter: TokenCounter, said: list[Entry]
    ) -> None:
        super().__init__(store, record, counter)
        self.reader = _Reader(store, record, said)
        self.reader.zero = counter.zero
        self._odd = [entry.seq for entry in said if entry.irregular]

    def refresh(self) -> None:
        """No one else writes."""

    def is_irregular(self) -> bool:
        return bisect_left(self._odd, self.n_entries) > 0


class ReplayThread(Thread):
    """A thread whose log was recorded: calls are assembled as ever, recording one moves on.

    Nothing is written, so what a store would have cost is not part of the measured times; where a policy
    searches or summarises, what was said is told to the manager's store as it goes on.
    """

    def __init__(self, manager: ContextManager, name: str, entries: list[Entry]) -> None:
        record = ThreadRecord(0, "default", name, manager.counter.name)
        super().__init__(manager, record)
        self._log = _Log(manager.history, record, manager.counter, entries)
        self._said = entries
        self._told: ThreadRecord | None = None

    def advance(self, n_entries: int) -> None:
        """See the log up to entry `n_entries`."""
        self._log.reader.n_entries = n_entries
        if self._told is not None:
            self._tell(self._told)

    @cached_property
    def memory(self) -> Memory:
        """What was said up to the newest call."""
        from contextkit.recall.memory import Memory

        manager = self.manager
        return Memory(manager.history, self._in_store(), manager.embedder, manager.vector_index)

    @cached_property
    def summaries(self) -> Summaries:
        """What stands for older parts of what was said."""
        from contextkit.summaries.in_force import Summaries

        manager = self.manager
        return Summaries(manager.history, self._in_store(), manager.counter, manager.background)

    def _in_store(self) -> ThreadRecord:
        """The thread of the manager's store that holds what was said; every replay has its own."""
        if self._told is None:
            store, name = self.manager.history, f"{self.name}~{uuid4().hex}"
            self._told = store.open_thread(self.tenant, name, counter=self.manager.counter.name)
            if self._told is None:
                raise StoreError(f"the replay of {self.name!r} could not be written down")
            self._tell(self._told)
        return self._told

    def _tell(self, record: ThreadRecord) -> None:
        store = self.manager.history
        told = store.head(record).n_entries
        if told < self._log.n_entries:
            store.append(record, self._said[told : self._log.n_entries])

    def commit(self, call: Call) -> None:
        """Take over the view of a call, as recording it would."""
        draft = call.plan.draft
        if draft.log.stop != self._log.n_entries:
            raise StoreError("a call with an input of its own is not part of a recorded log")
        self._log.view = views.committed(self._log.view, draft, self.manager.clock())
        self.last_call = call
