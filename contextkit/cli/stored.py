"""A thread of a store as the commands look at it: nothing is created, counted anew or written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contextkit.cli.opening import UsageError, keeps_nothing
from contextkit.expansion import Expansion
from contextkit.handles import expand
from contextkit.inspector.words import count
from contextkit.ledger import Ledger
from contextkit.manager import ContextManager
from contextkit.messages import Message
from contextkit.store import StoredTurn, ThreadRecord

_FORK = re.compile(r"~\d+$")


@dataclass(frozen=True)
class StoredThread:
    """One thread of a manager's store."""

    manager: ContextManager
    record: ThreadRecord

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def tenant(self) -> str:
        return self.record.tenant

    def __len__(self) -> int:
        return self.manager.history.head(self.record).n_entries

    def closed(self, start: int = 1, stop: int | None = None) -> list[StoredTurn]:
        """The recorded turns as they are stored: all, or those numbered `start <= number < stop`."""
        return self.manager.history.turns(self.record, start, stop)

    def turns(self) -> list[Ledger]:
        """The ledgers of all recorded turns, oldest first."""
        return [turn.ledger for turn in self.closed()]

    def turn(self, number: int) -> Ledger:
        """The ledger of one turn. Raises `UsageError` where there is none of that number."""
        found = self.closed(number, number + 1)
        if not found:
            n_turns = self.newest_turn()
            beside = "" if n_turns else self.calls_beside()
            raise UsageError(
                f"thread {self.name!r} has no turn {number}; it has {count(n_turns, 'turn')}{beside}"
            )
        return found[0].ledger

    def newest_turn(self) -> int:
        """The number of the newest recorded turn, 0 where there is none."""
        return self.manager.history.last_turn(self.record)

    def calls_beside(self) -> str:
        """`; its calls are in NAME/calls` where an adapter keeps them beside this history, else empty.

        A history that began anew, `NAME~2`, has them in the same place.
        """
        for base in (self.name, _FORK.sub("", self.name)):
            if find_record(self.manager, f"{base}/calls", self.tenant) is not None:
                return f"; its calls are in {base}/calls"
        return ""

    def messages(self, start: int = 0, stop: int | None = None) -> list[Message]:
        """The log's messages `start <= seq < stop`."""
        end = len(self) if stop is None else stop
        return [e.message for e in self.manager.history.entries(self.record, start, end)]

    def expand(self, handle: str) -> Expansion:
        """What stands behind a handle. Raises `UnknownHandle`."""
        return expand(self.manager.history, self.record, len(self), handle)


def find_thread(manager: ContextManager, name: str | None, tenant: str) -> StoredThread:
    """The thread of that name, or the only one. Raises `UsageError` naming those that are there."""
    if name is None:
        return StoredThread(manager, _only(manager, tenant))
    record = find_record(manager, name, tenant)
    if record is None:
        raise UsageError(_no_thread(manager, name, tenant))
    return StoredThread(manager, record)


def find_record(manager: ContextManager, name: str, tenant: str) -> ThreadRecord | None:
    """The thread as its store knows it; None where there is none."""
    return manager.history.open_thread(tenant, name, counter=manager.counter.name, create=False)


def _only(manager: ContextManager, tenant: str) -> ThreadRecord:
    records = manager.threads(tenant)
    if len(records) == 1:
        return records[0]
    raise UsageError(f"which thread? name one; tenant {tenant!r} has {_listed(records)}")


def _no_thread(manager: ContextManager, name: str, tenant: str) -> str:
    everyone = manager.threads(None)
    owners = [record.tenant for record in everyone if record.name == name]
    what = f"tenant {tenant!r} has no thread {name!r}"
    if owners:
        more = f" (as {count(len(owners) - 1, 'other tenant')})" if len(owners) > 1 else ""
        return f"{what}; tenant {owners[0]!r} has one{more}: --tenant {owners[0]}"
    if not everyone and keeps_nothing(manager):
        return f"{what}: history: {{kind: memory}} ends with each process; {{kind: sql}} is kept"
    return f"{what}; it has {_listed([r for r in everyone if r.tenant == tenant])}"


def _listed(records: Sequence[ThreadRecord]) -> str:
    some = ", ".join(record.name for record in records[:6]) or "none"
    return some + (" ..." if len(records) > 6 else "")
