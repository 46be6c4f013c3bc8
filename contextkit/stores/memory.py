"""History in this process's memory: for tests, notebooks and conversations that need not survive.

Appending is O(1), reading a range is a slice, and a fork shares its parent's entries.
Safe to use from several threads; gone with the process.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import ConfigDict, PrivateAttr

from contextkit.documents import Chunk, Document
from contextkit.log import Entry
from contextkit.messages import to_json
from contextkit.store import Head, Kept, Problem, StoredTurn, StoredView, ThreadRecord
from contextkit.stores.check import Stored, check_chunks, check_entries, check_json
from contextkit.stores.cover import check_cover
from contextkit.stores.kept import Whole, checked
from contextkit.stores.memory_beside import MemoryMemo, Shelf
from contextkit.stores.memory_summaries import Summaries
from contextkit.stores.refusals import (
    check_chunk_texts,
    check_counter,
    check_fork_point,
    check_names,
    name_taken,
    refuse_forks,
    seq_taken,
    unknown_thread,
    view_conflict,
)
from contextkit.summary import Summary, source_digest


@dataclass(slots=True)
class _Log:
    """Entries from `start` on; those before belong to `base`, a log that only ever grows."""

    base: _Log | None = None
    start: int = 0
    own: list[Entry] = field(default_factory=list[Entry])
    odd: list[int] = field(default_factory=list[int])

    def __len__(self) -> int:
        return self.start + len(self.own)

    def extend(self, entries: Sequence[Entry]) -> None:
        self.own.extend(entries)
        self.odd.extend(entry.seq for entry in entries if entry.irregular)

    def slice(self, start: int, stop: int) -> list[Entry]:
        mine = self.own[max(start - self.start, 0) : max(stop - self.start, 0)]
        if self.base is None or start >= self.start:
            return mine
        return self.base.slice(start, min(stop, self.start)) + mine

    def irregular(self, start: int, stop: int) -> list[int]:
        mine = self.odd[bisect_left(self.odd, start) : bisect_left(self.odd, stop)]
        if self.base is None or start >= self.start:
            return mine
        return self.base.irregular(start, min(stop, self.start)) + mine


@dataclass(slots=True)
class _Thread:
    record: ThreadRecord
    log: _Log
    view: StoredView | None = None
    turns: list[StoredTurn] = field(default_factory=list[StoredTurn])
    shelf: Shelf = field(default_factory=Shelf)
    summaries: Summaries = field(default_factory=Summaries)

    def put(self, kept: Whole) -> None:
        """Keep beside the log what was exported elsewhere."""
        if isinstance(kept, StoredView):
            self.view = kept
        elif isinstance(kept, StoredTurn):
            self.turns.append(kept)
        elif isinstance(kept, tuple):
            self.shelf.put(*kept)
        else:
            self.summaries.put(kept)


class MemoryHistory(MemoryMemo):
    """`{kind: memory}`: the contract of `HistoryStore`, kept nowhere but here."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "memory"

    _threads: list[_Thread | None] = PrivateAttr(default_factory=list["_Thread | None"])
    """By number; None where one was forgotten."""
    _by_name: dict[tuple[str, str], _Thread] = PrivateAttr(
        default_factory=dict[tuple[str, str], _Thread]
    )
    _state: dict[str, str] = PrivateAttr(default_factory=dict[str, str])

    def open_thread(
        self, tenant: str, name: str, *, counter: str, create: bool = True
    ) -> ThreadRecord | None:
        check_names(tenant=tenant, thread=name)
        with self._lock:
            self._refuse_closed()
            found = self._by_name.get((tenant, name))
            if found is None and create:
                record = ThreadRecord(len(self._threads) + 1, tenant, name, counter)
                found = self._add(_Thread(record, _Log()))
            return found.record if found else None

    def list_threads(self, tenant: str | None = None) -> list[ThreadRecord]:
        with self._lock:
            self._refuse_closed()
            records = [thread.record for thread in self._threads if thread]
        chosen = (r for r in records if tenant is None or r.tenant == tenant)
        return sorted(chosen, key=lambda record: (record.tenant, record.name))

    def head(self, thread: ThreadRecord) -> Head:
        with self._lock:
            kept = self._find(thread)
            return Head(len(kept.log), kept.view.version if kept.view else 0)

    def entries(self, thread: ThreadRecord, start: int, stop: int) -> list[Entry]:
        with self._lock:
            return self._find(thread).log.slice(max(start, 0), stop)

    def irregular(self, thread: ThreadRecord, start: int) -> list[int]:
        with self._lock:
            log = self._find(thread).log
            return log.irregular(start, len(log))

    def append(self, thread: ThreadRecord, entries: Sequence[Entry]) -> None:
        with self._lock:
            kept = self._find(thread)
            _check_next(kept, thread, entries)
            kept.log.extend(entries)

    def view(self, thread: ThreadRecord) -> StoredView | None:
        with self._lock:
            return self._find(thread).view

    def commit(
        self,
        thread: ThreadRecord,
        *,
        entries: Sequence[Entry],
        view: StoredView | None,
        turn: str | None,
    ) -> int:
        with self._lock:
            kept = self._find(thread)
            _check_next(kept, thread, entries)
            version = kept.view.version if kept.view else 0
            if view is not None and view.version != version + 1:
                raise view_conflict(thread, view.version, version)
            kept.log.extend(entries)
            if view is not None:
                kept.view = view
            if turn is None:
                return 0
            number = len(kept.turns) + 1
            now = datetime.now(UTC).isoformat()
            kept.turns.append(StoredTurn(number, turn, now, len(kept.log)))
            return number

    def turns(
        self, thread: ThreadRecord, start: int = 1, stop: int | None = None
    ) -> list[StoredTurn]:
        with self._lock:
            kept = self._find(thread).turns
            return kept[max(0, start - 1) : None if stop is None else max(0, stop - 1)]

    def last_turn(self, thread: ThreadRecord) -> int:
        with self._lock:
            return len(self._find(thread).turns)

    def fork(self, thread: ThreadRecord, name: str, *, at: int) -> ThreadRecord:
        check_names(thread=name)
        with self._lock:
            kept = self._find(thread)
            check_fork_point(thread, at, len(kept.log))
            if (thread.tenant, name) in self._by_name:
                raise name_taken(thread.tenant, name)
            record = replace(
                kept.record, id=len(self._threads) + 1, name=name, parent=thread.id, forked_at=at
            )
            log = _Log(base=kept.log, start=at)
            shelf, summaries = kept.shelf.carried(at), kept.summaries.carried(at)
            return self._add(_Thread(record, log, shelf=shelf, summaries=summaries)).record

    def forget(self, thread: ThreadRecord, *, forks: bool = False) -> list[ThreadRecord]:
        with self._lock:
            gone = [self._find(thread).record, *self._sharing(thread)]
            if not forks:
                refuse_forks(thread, gone[1:])
            for record in gone:
                self._threads[record.id - 1] = None
                del self._by_name[record.tenant, record.name]
            self._drop_memos(thread.tenant)
            return gone

    def recount(self, thread: ThreadRecord, counter: str, entries: Iterator[Entry]) -> ThreadRecord:
        # Forks go on reading the old log, whose measures belong to their own counter.
        fresh = _Log()
        fresh.extend(list(entries))
        with self._lock:
            kept = self._find(thread)
            if len(fresh) != len(kept.log):
                raise seq_taken(thread, len(fresh), len(kept.log))
            kept.log = fresh
            kept.record = replace(kept.record, counter=counter, forked_at=0)
            for fork in self._threads:
                if fork and fork.record.parent == thread.id:
                    fork.record = replace(fork.record, forked_at=0)
            return kept.record

    def restore(self, thread: ThreadRecord, name: str, kept: Iterable[Kept]) -> ThreadRecord:
        check_names(thread=name)
        with self._lock:
            old = self._find(thread)
            if (thread.tenant, name) in self._by_name:
                raise name_taken(thread.tenant, name)
            record = replace(old.record, name=name)
            new = _Thread(record, old.log)
            for each in checked(kept, len(old.log)):
                new.put(each)
            self._threads[record.id - 1] = new
            del self._by_name[thread.tenant, old.record.name]
            self._by_name[thread.tenant, name] = new
            return record

    def load_state(self, key: str) -> str | None:
        with self._lock:
            self._refuse_closed()
            return self._state.get(key)

    def save_state(self, key: str, value: str) -> None:
        with self._lock:
            self._refuse_closed()
            self._state[key] = value

    def verify(self, tenant: str | None = None) -> Iterator[Problem]:
        for record in self.list_threads(tenant):
            entries = self.entries(record, 0, self.head(record).n_entries)
            rows = (Stored(e.seq, e, _digest(e)) for e in entries)
            for seq, what in check_entries(None, rows, start=0):
                yield Problem(record.tenant, record.name, seq, what)
            view = self.view(record)
            fault = check_json(view.body) if view else None
            if fault:
                yield Problem(record.tenant, record.name, None, f"the view: {fault}")
            for document in self.documents(record):
                for what in check_chunks(document, self.chunks(record, document.number)):
                    yield Problem(record.tenant, record.name, None, what)
            for what in self._check_summaries(record, entries):
                yield Problem(record.tenant, record.name, None, what)

    def add_summary(
        self, thread: ThreadRecord, summary: Summary, replaces: Sequence[Summary] = ()
    ) -> None:
        with self._lock:
            kept = self._find(thread)
            kept.summaries.add(thread, summary, replaces, len(kept.log))

    def cover(self, thread: ThreadRecord) -> list[Summary]:
        with self._lock:
            return list(self._find(thread).summaries.cover)

    def summaries(self, thread: ThreadRecord) -> list[Summary]:
        with self._lock:
            return list(self._find(thread).summaries.made)

    def add_document(
        self, thread: ThreadRecord, document: Document, chunks: Sequence[Chunk]
    ) -> Document:
        check_chunk_texts(document, chunks)
        with self._lock:
            kept = self._find(thread)
            return kept.shelf.add(document, chunks, len(kept.log))

    def documents(self, thread: ThreadRecord) -> list[Document]:
        with self._lock:
            return list(self._find(thread).shelf.documents)

    def chunks(
        self, thread: ThreadRecord, document: int, start: int = 0, stop: int | None = None
    ) -> list[Chunk]:
        with self._lock:
            kept = self._find(thread).shelf.chunks.get(document, ())
        return list(kept[max(0, start) : None if stop is None else max(0, stop)])

    def _check_summaries(self, record: ThreadRecord, entries: Sequence[Entry]) -> Iterator[str]:
        def digest(start: int, stop: int) -> str:
            return source_digest(entry.message.digest for entry in entries[start:stop])

        yield from check_cover(self.cover(record), self.summaries(record), len(entries), digest)

    def _sharing(self, thread: ThreadRecord) -> list[ThreadRecord]:
        """The forks that read entries through this thread, and theirs."""
        records = [each.record for each in self._threads if each]
        forks = [r for r in records if r.parent == thread.id and r.forked_at > 0]
        return [each for fork in forks for each in (fork, *self._sharing(fork))]

    def _add(self, thread: _Thread) -> _Thread:
        self._threads.append(thread)
        self._by_name[(thread.record.tenant, thread.record.name)] = thread
        return thread

    def _find(self, record: ThreadRecord) -> _Thread:
        self._refuse_closed()
        known = 0 < record.id <= len(self._threads)
        found = self._threads[record.id - 1] if known else None
        if found is None or found.record.tenant != record.tenant:
            raise unknown_thread(record, "this memory history")
        return found


def _check_next(kept: _Thread, thread: ThreadRecord, entries: Sequence[Entry]) -> None:
    check_counter(thread, kept.record.counter)
    if entries and entries[0].seq != len(kept.log):
        raise seq_taken(thread, entries[0].seq, len(kept.log))


def _digest(entry: Entry) -> bytes:
    body = json.dumps(to_json(entry.message), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode("ascii")).digest()
