"""The summaries of one thread as policies see them: those in force, and a builder for those that lack."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event, RLock

from contextkit.background import Background
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.summaries.build import Builder
from contextkit.summaries.values import Shape, Summarizer
from contextkit.summary import Summary
from contextkit.tokens import TokenCounter


class Summaries:
    """What stands for a thread's log, and who makes more of it. Safe to share between threads."""

    def __init__(
        self,
        store: HistoryStore,
        record: ThreadRecord,
        counter: TokenCounter,
        background: Background | None = None,
    ) -> None:
        self.store, self.record, self.counter = store, record, counter
        self.background = background
        self._lock = RLock()
        self._seen: tuple[object, tuple[Summary, ...]] = (None, ())
        self._made: tuple[object, list[Summary]] = (None, [])
        self._reach = -1

    def in_force(self, moment: object = None) -> tuple[Summary, ...]:
        """The summaries in force, in the order of the log.

        For one `moment` they are read once, so that a call assembled again is the same call.
        """
        with self._lock:
            if moment is not None and self._seen[0] == moment:
                return self._seen[1]
            found = tuple(self.store.cover(self.record))
            self._reach = found[-1].stop if found else 0
            if moment is not None:
                self._seen = moment, found
            return found

    def all(self, moment: object = None) -> list[Summary]:
        """Every summary that was made, by level and place; for one `moment` they are read once."""
        with self._lock:
            if moment is None or self._made[0] != moment:
                made = self.store.summaries(self.record)
                if moment is None:
                    return made
                self._made = moment, made
            return list(self._made[1])

    @property
    def reach(self) -> int:
        """Entries before this one are covered, as far as was last seen; asks the store only at first."""
        if self._reach < 0:
            self.in_force()
        return self._reach

    def builder(self, shape: Shape, ways: Sequence[Summarizer]) -> Builder:
        return Builder(self.store, self.record, self.counter, shape, ways)

    def build(self, shape: Shape, ways: Sequence[Summarizer]) -> int:
        """Make all that are due, now; returns how many were made."""
        n_made = self.builder(shape, ways).run()
        self.in_force()
        return n_made

    def start(self, shape: Shape, ways: Sequence[Summarizer]) -> bool:
        """Make all that are due beside the conversation; False where that is done already."""
        if self.background is None:
            return False
        builder = self.builder(shape, ways)

        def work(stop: Event) -> None:
            builder.run(stop)
            with self._lock:
                cover = self.store.cover(self.record)
                self._reach = cover[-1].stop if cover else 0

        return self.background.submit((self.record.tenant, self.record.name), work)

    def failure(self) -> Exception | None:
        """What the last build beside the conversation raised; None where it raised nothing."""
        key = (self.record.tenant, self.record.name)
        return None if self.background is None else self.background.failure(key)
