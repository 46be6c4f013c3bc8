"""The contract of history stores: an append-only log, one view a thread, closed turns.

A store keeps and orders; it never counts tokens and never decides. All writes of one turn are one
transaction: entries, the view by compare-and-swap, the turn's ledger. What a method has returned
from is durable as the store documents; a kill at any instant loses nothing that was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from contextkit.documents import Chunk, Document
from contextkit.ledger import Ledger
from contextkit.log import Entry
from contextkit.summary import Summary


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """A thread as a store knows it."""

    id: int
    tenant: str
    name: str
    counter: str
    """Name of the counter whose measures the entries carry."""
    parent: int | None = None
    """The thread this one was forked from, and up to where it shares its entries."""
    forked_at: int = 0


@dataclass(frozen=True, slots=True)
class StoredView:
    """The committed view of a thread as JSON text, with the version that compare-and-swap checks."""

    version: int
    body: str


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One closed turn: the ledger as JSON text and when it was closed (UTC, ISO 8601)."""

    number: int
    body: str
    closed_at: str
    n_entries: int
    """Entries of the log once it was closed."""

    @property
    def ledger(self) -> Ledger:
        """The ledger, with the number that the store gave it."""
        return Ledger.from_dict(json.loads(self.body) | {"turn": self.number})


@dataclass(frozen=True, slots=True)
class Tile:
    """The summary of this level that stands for entries `start <= seq < stop` now."""

    start: int
    stop: int
    level: int


Kept: TypeAlias = StoredView | StoredTurn | Summary | Tile | Document | Chunk
"""What stands beside a log and cannot be made again from it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What may have changed since a thread was last looked at; cheap to ask for."""

    n_entries: int
    view_version: int
    """0 where no view was ever committed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something `verify` found: which thread, which entry, what is wrong."""

    tenant: str
    thread: str
    seq: int | None
    what: str


class SeqTaken(Exception):
    """Another writer appended first; read the tail again and retry. Never leaves the manager."""


class CoverMoved(Exception):
    """The summaries in force are others than the builder thought; read them again. Never leaves it."""


class HistoryStore(Protocol):
    """Keeps threads. Implementations are pydantic models: their fields are their YAML.

    Errors: `StoreBusy`, `StoreReadOnly`, `StoreTooNew`, `StoreCorrupt`, `StoreError`. Safe to use
    from several threads at once, and, where it is on disk or a server, from several processes.
    """

    kind: ClassVar[str]

    def open_thread(
        self, tenant: str, name: str, *, counter: str, create: bool = True
    ) -> ThreadRecord | None:
        """Find or create; None where it is missing and `create` is false."""
        ...

    def list_threads(self, tenant: str | None = None) -> list[ThreadRecord]:
        """All threads of a tenant (or of every tenant, for `verify` and the inspector), by name."""
        ...

    def head(self, thread: ThreadRecord) -> Head: ...

    def entries(self, thread: ThreadRecord, start: int, stop: int) -> list[Entry]:
        """Entries `start <= seq < stop` in order, those inherited from a parent included."""
        ...

    def irregular(self, thread: ThreadRecord, start: int) -> list[int]:
        """`seq` of every irregular entry at or after `start`, ascending."""
        ...

    def append(self, thread: ThreadRecord, entries: Sequence[Entry]) -> None:
        """Store a batch, whole or not at all. Raises `SeqTaken` where its first `seq` is not the next."""
        ...

    def view(self, thread: ThreadRecord) -> StoredView | None: ...

    def commit(
        self,
        thread: ThreadRecord,
        *,
        entries: Sequence[Entry],
        view: StoredView | None,
        turn: str | None,
    ) -> int:
        """One turn in one transaction; returns the turn's number (counted from 1; 0 without a turn).

        `view.version` is the version this view replaces plus one. Raises `SeqTaken`, or `ViewConflict`
        where the stored version is another; then nothing of the turn was stored.
        """
        ...

    def turns(
        self, thread: ThreadRecord, start: int = 1, stop: int | None = None
    ) -> list[StoredTurn]:
        """Closed turns in order: all of them, or those numbered `start <= number < stop`."""
        ...

    def last_turn(self, thread: ThreadRecord) -> int:
        """The number of the newest closed turn, 0 where there is none; cheap to ask for."""
        ...

    def fork(self, thread: ThreadRecord, name: str, *, at: int) -> ThreadRecord:
        """A new thread of the same tenant that shares entries `0 <= seq < at` and has its own view.

        Raises `StoreError` where `name` exists already.
        """
        ...

    def forget(self, thread: ThreadRecord, *, forks: bool = False) -> list[ThreadRecord]:
        """Delete a thread with all that was kept for it, for good; returns what is gone.

        With it go chunks of documents that no other thread has, and the memo of its tenant, which can be
        made again. Raises `UnknownThread`; `StoreError` where forks share its entries, unless `forks`
        says that they go too.
        """
        ...

    def recount(self, thread: ThreadRecord, counter: str, entries: Iterator[Entry]) -> ThreadRecord:
        """Replace every measure and total by those of `entries` and take `counter` as the thread's."""
        ...

    def restore(self, thread: ThreadRecord, name: str, kept: Iterable[Kept]) -> ThreadRecord:
        """Rename a thread and put `kept` in the place of all that stands beside its log, all or nothing.

        For what was exported: turns, views and documents keep their numbers and times. A summary comes
        before the tile that puts it in force, a document before its chunks. Raises `StoreError` where the
        name is taken or `kept` does not fit together.
        """
        ...

    def load_state(self, key: str) -> str | None:
        """A small value kept beside the threads (what a counter has learned)."""
        ...

    def save_state(self, key: str, value: str) -> None: ...

    def load_memo(self, tenant: str, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """What is kept under these keys of a tenant's space; keys without a value are left out."""
        ...

    def save_memo(self, tenant: str, space: str, items: Mapping[str, bytes]) -> None:
        """Keep values that can be made again (vectors, terms, model-made text), all or none.

        A key that is there already takes the new value.
        """
        ...

    def list_memo(self, tenant: str, space: str) -> list[str]:
        """Every key of a space, sorted."""
        ...

    def drop_memo(self, tenant: str, space: str, keys: Sequence[str] | None = None) -> None:
        """Forget these keys, or the whole space; keys that are not there are passed over."""
        ...

    def add_document(
        self, thread: ThreadRecord, document: Document, chunks: Sequence[Chunk]
    ) -> Document:
        """Keep a document with all its chunks; returns it with its number.

        Where the thread has a document of that digest already, that one is returned. The chunks of a
        digest are stored once for each tenant.
        """
        ...

    def documents(self, thread: ThreadRecord) -> list[Document]:
        """The documents of a thread by number; a fork has those that came before its fork point."""
        ...

    def chunks(
        self, thread: ThreadRecord, document: int, start: int = 0, stop: int | None = None
    ) -> list[Chunk]:
        """Chunks `start <= number < stop` of a document, in order; none of one that is not there."""
        ...

    def add_summary(
        self, thread: ThreadRecord, summary: Summary, replaces: Sequence[Summary] = ()
    ) -> None:
        """Keep a summary and put it in force, in one transaction in place of those it `replaces`.

        The summaries in force are a chain without gaps: one that replaces none begins where the last of
        them ends; one that replaces some takes exactly their range. Raises `CoverMoved` where that does
        not hold of what is stored (another builder was first), or where the log ends before it does.
        """
        ...

    def cover(self, thread: ThreadRecord) -> list[Summary]:
        """The summaries in force, in the order of the log; a fork begins with those before its point."""
        ...

    def summaries(self, thread: ThreadRecord) -> list[Summary]:
        """Every summary that was made, by level and place: those that others replaced among them."""
        ...

    def verify(self, tenant: str | None = None) -> Iterator[Problem]:
        """Re-derive every digest, chain value, total and view; yield what does not match."""
        ...

    def close(self) -> None:
        """Give back connections and files; the store can't be used after."""
        ...
