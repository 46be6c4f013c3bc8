"""`contextkit import`: the threads of an export as new ones, each there whole or not at all.

The file is read twice, page by page: once to check all of it, once to store it. A thread grows under
the name `NAME~importing` and gets its own, with all that stands beside its log, in one transaction. So
an import that was stopped, by whatever means, goes on where it was when it is called again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from contextkit.cli.incoming import (
    Incoming,
    opened,
    place_of,
    read_lines,
    sections,
    survey,
)
from contextkit.cli.opening import (
    UsageError,
    keeps_nothing,
    open_manager,
    out,
    print_json,
    progress,
)
from contextkit.cli.records import Said, ThreadHead
from contextkit.cli.stored import find_record
from contextkit.inspector.words import clean, count
from contextkit.log import Entry, chain_entries
from contextkit.manager import ContextManager
from contextkit.messages import Message
from contextkit.store import Kept, SeqTaken, ThreadRecord

PAGE = 256
"""Messages stored at a time."""
UNDER_WAY = "~importing"

Places = dict[tuple[str, str], Incoming]


def run_import(
    path: Path, config: Path | None, tenant: str | None, name: str | None, *, as_json: bool
) -> None:
    """Store the threads of a file; refused before anything is, where one of another content is there.

    Raises `UsageError`.
    """
    with opened(path) as file, open_manager(config) as manager:
        if keeps_nothing(manager):
            raise UsageError(
                "history: {kind: memory} keeps nothing; name a --config with {kind: sql}"
            )
        found = survey(path, file, tenant, manager.max_message_bytes)
        if name is not None and len(found) > 1:
            raise UsageError(f"--thread: {path} holds {len(found)} threads; leave it out")
        wanted = {(whose, name or its): each for (whose, its), each in found.items()}
        new = {place: each for place, each in wanted.items() if not _is_there(manager, place, each)}
        n_messages = sum(_n_own(each) for each in new.values())
        with progress("importing", n_messages) as advance:
            import_ = _Import(manager, path, tenant, name, new)
            for n_stored in import_.run(file):
                advance(n_stored)
    if as_json:
        rows = [
            {
                "tenant": whose,
                "thread": its,
                "entries": each.n_entries,
                "turns": each.n_turns,
                "stored": (whose, its) in new,
            }
            for (whose, its), each in wanted.items()
        ]
        print_json({"threads": rows})
        return
    said = f"imported {count(n_messages, 'message')} into {count(len(new), 'thread')}"
    n_there = len(wanted) - len(new)
    there = f"; {count(n_there, 'thread')} of the same content there already" if n_there else ""
    out().print(clean(said + there))


def _n_own(thread: Incoming) -> int:
    return thread.n_entries - (thread.head.forked_at if thread.head.parent else 0)


def _is_there(manager: ContextManager, place: tuple[str, str], thread: Incoming) -> bool:
    """Whether the store has this very thread. Raises `UsageError` where it has another of the name."""
    tenant, name = place
    record = find_record(manager, name, tenant)
    if record is None:
        return False
    store, n_entries = manager.history, thread.n_entries
    last = store.entries(record, n_entries - 1, n_entries)
    same = store.head(record).n_entries == n_entries and (
        not n_entries or last[0].chain == thread.chain
    )
    if same and (not thread.is_told or store.last_turn(record) == thread.n_turns):
        return True
    raise UsageError(
        f"tenant {tenant!r} has a thread {name!r} that is not the one of the file; --thread gives "
        "another name"
    )


@dataclass(slots=True)
class _UnderWay:
    """A thread that is being stored."""

    place: tuple[str, str]
    record: ThreadRecord
    at: int
    """Up to which entry the file was read."""
    last: Entry | None = None
    """The entry before that, where it was stored just now."""


class _Import:
    """Stores the threads of a file that the store has not."""

    def __init__(
        self,
        manager: ContextManager,
        path: Path,
        tenant: str | None,
        name: str | None,
        new: Places,
    ) -> None:
        self._manager = manager
        self._path, self._tenant, self._name = path, tenant, name
        self._new = new
        self._under_way: dict[tuple[str, str], _UnderWay] = {}

    def run(self, file: IO[bytes]) -> Iterator[int]:
        """Do it; yields how many more messages are stored. Raises `UsageError` and `StoreError`."""
        current: tuple[str, str] | None = None
        for kind, section in sections(read_lines(self._path, file)):
            if kind == "head":
                for _, head in section:
                    self._finish_all()
                    current = self._place(head)
                    self._begin(current)
            elif kind == "said":
                yield from self._store(current, (said for _, said in section))
            else:
                self._finish(current, (record for _, record in section))
        self._finish_all()

    def _place(self, head: ThreadHead) -> tuple[str, str]:
        return head.tenant if self._tenant is None else self._tenant, self._name or head.name

    def _begin(self, place: tuple[str, str]) -> None:
        if place not in self._new or place in self._under_way:
            return
        (tenant, name), head = place, self._new[place].head
        known = find_record(self._manager, name + UNDER_WAY, tenant)
        if head.parent is None:
            counter = self._manager.counter.name
            self._manager.history.open_thread(tenant, name + UNDER_WAY, counter=counter)
            thread = self._manager.thread(name + UNDER_WAY, tenant=tenant)
        else:
            parent = self._manager.thread(head.parent, tenant=tenant, create=False)
            if known is None:
                thread = parent.fork(head.forked_at, name + UNDER_WAY)
            else:
                thread = self._manager.thread(known.name, tenant=tenant)
            _check_fork(thread.record_, parent.record_, head)
        start = head.forked_at if head.parent else 0
        self._under_way[place] = _UnderWay(place, thread.record_, start)
        self._manager.discard(thread)

    def _store(self, current: tuple[str, str] | None, said: Iterable[Said]) -> Iterator[int]:
        """Store messages, those of one thread together."""
        place, batch = current, list[Message]()
        for each in said:
            at = current or self._renamed(place_of(self._path, each, self._tenant))
            if batch and (at != place or len(batch) == PAGE):
                yield self._add(place, batch)
                batch = []
            place = at
            batch.append(each.message)
        yield self._add(place, batch)

    def _renamed(self, place: tuple[str, str]) -> tuple[str, str]:
        return place if self._name is None else (place[0], self._name)

    def _add(self, place: tuple[str, str] | None, batch: Sequence[Message]) -> int:
        """Store what is not there from an import that was stopped."""
        if place is None or place not in self._new:
            return 0
        self._begin(place)
        ours = self._under_way[place]
        there = self._manager.history.entries(ours.record, ours.at, ours.at + len(batch))
        if [e.message.digest for e in there] != [m.digest for m in batch[: len(there)]]:
            raise UsageError(_in_the_way(ours.record))
        self._append(ours, batch[len(there) :])
        ours.at += len(batch)
        return len(batch)

    def _append(self, ours: _UnderWay, messages: Sequence[Message]) -> None:
        """Store messages behind those that are there, without keeping any of them here."""
        if not messages:
            return
        store, counter = self._manager.history, self._manager.counter
        n_entries = store.head(ours.record).n_entries
        if ours.last is None or ours.last.seq + 1 != n_entries:
            newest = store.entries(ours.record, n_entries - 1, n_entries)
            ours.last = newest[0] if newest else None
        measures = [counter.measure(message) for message in messages]
        entries = chain_entries(ours.last, messages, measures, counter.zero)
        try:
            store.append(ours.record, entries)
        except SeqTaken:
            raise UsageError(_in_the_way(ours.record)) from None
        ours.last = entries[-1]

    def _finish(self, place: tuple[str, str] | None, kept: Iterable[Kept]) -> None:
        """Give a thread its name, with all that stands beside its log."""
        ours = self._under_way.pop(place, None) if place else None
        if ours is None:
            return
        expected, record = self._new[ours.place], ours.record
        store = self._manager.history
        n_entries = store.head(record).n_entries
        last = store.entries(record, n_entries - 1, n_entries)
        if (last[0].chain if last else b"") != expected.chain:
            raise UsageError(_in_the_way(record))
        store.restore(record, ours.place[1], kept)

    def _finish_all(self) -> None:
        nothing: tuple[Any, ...] = ()
        for place in list(self._under_way):
            self._finish(place, nothing)


def _check_fork(record: ThreadRecord, parent: ThreadRecord, head: ThreadHead) -> None:
    if (record.parent, record.forked_at) != (parent.id, head.forked_at):
        raise UsageError(_in_the_way(record))


def _in_the_way(record: ThreadRecord) -> str:
    return (
        f"thread {record.name!r} of tenant {record.tenant!r} is not the beginning of what is imported; "
        f"if no other import is under way, forget it: contextkit forget {record.name} --tenant "
        f"{record.tenant} --yes"
    )
