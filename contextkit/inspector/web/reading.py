"""What the pages read of a store: its threads, and one thread's head, turns and entries.

Nothing here writes. A thread is looked up, never created; where it was counted by another counter
it stays so, and ranges of it are shown without tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contextkit.errors import ContextKitError
from contextkit.inspector.words import clean
from contextkit.ledger import Ledger
from contextkit.manager import ContextManager
from contextkit.store import HistoryStore, StoredTurn, ThreadRecord
from contextkit.tokens import subtract

LISTED = 200
"""Threads on one page; more are found by the filter."""

_DECISIONS, _BEHIND = '"decisions": [', '], "prefix": {'


class NotFound(ContextKitError):
    """The page asks for a thread, a turn or a handle that is not there."""


@dataclass(frozen=True)
class Reading:
    """One thread of a manager's store, to be looked at."""

    manager: ContextManager
    record: ThreadRecord

    @property
    def store(self) -> HistoryStore:
        return self.manager.history

    def ledgers(self, start: int, stop: int) -> list[tuple[StoredTurn, Ledger]]:
        """The turns `start <= number < stop` that are there, with their ledgers."""
        return [(turn, turn.ledger) for turn in self.store.turns(self.record, start, stop)]

    def figures(self, start: int, stop: int) -> list[dict[str, Any]]:
        """What the ledgers of those turns say in numbers: as stored, without their decisions."""
        turns = self.store.turns(self.record, start, stop)
        return [json.loads(_cut(turn.body)) for turn in turns]

    def ledger(self, number: int) -> tuple[StoredTurn, Ledger]:
        """One turn. Raises `NotFound` naming how many there are."""
        found = self.ledgers(number, number + 1)
        if not found:
            last = self.store.last_turn(self.record)
            raise NotFound(f"turn {number}: this thread has turns 1 to {last}" if last else
                           f"turn {number}: this thread has no recorded turns")  # fmt: skip
        return found[0]

    def tokens(self, start: int, stop: int) -> int | None:
        """Tokens of the entries `start <= seq < stop`, where they were counted by this counter."""
        counter = self.manager.counter
        if self.record.counter != counter.name or stop <= start:
            return None
        ends = self.store.entries(self.record, stop - 1, stop)
        before = self.store.entries(self.record, start - 1, start) if start else []
        if not ends:
            return None
        measure = subtract(ends[0].total, before[0].total) if before else ends[0].total
        tokens: int = counter.tokens(measure)
        return tokens

    def facts(self) -> dict[str, Any]:
        """What stands at the head of the page."""
        head, capabilities = self.store.head(self.record), self.manager.backend.capabilities
        model = "/".join(part for part in (capabilities.provider, capabilities.model) if part)
        return {
            "tenant": clean(self.record.tenant),
            "name": clean(self.record.name),
            "counter": clean(self.record.counter),
            "model": clean(model),
            "parent": self.record.parent is not None,
            "forked_at": self.record.forked_at,
            "n_entries": head.n_entries,
            "n_turns": self.store.last_turn(self.record),
        }


def _cut(body: str) -> str:
    """A ledger's JSON without its decisions, the bulk of it, where it is written as expected.

    Decisions are flat objects, and a quote inside of a text is escaped: what ends the cut stands nowhere
    within them.
    """
    start, stop = body.find(_DECISIONS), body.find(_BEHIND)
    return body[: start + len(_DECISIONS)] + body[stop:] if 0 <= start < stop else body


def find_thread(manager: ContextManager, tenant: str, name: str) -> Reading:
    """The thread of that name. Raises `NotFound`; nothing is created."""
    found = manager.history.open_thread(tenant, name, counter=manager.counter.name, create=False)
    if found is None:
        raise NotFound(f"tenant {tenant!r} has no thread {name!r}")
    return Reading(manager, found)


def list_threads(manager: ContextManager, tenant: str | None, wanted: str) -> dict[str, Any]:
    """The threads whose name or tenant has `wanted` in it: the newest first where all are shown."""
    records = manager.history.list_threads(tenant)
    needle = wanted.casefold()
    found = [r for r in records if needle in r.name.casefold() or needle in r.tenant.casefold()]
    rows = [_row(Reading(manager, record)) for record in found[:LISTED]]
    if len(found) <= LISTED:
        rows.sort(key=lambda row: row["closed_at"] or "", reverse=True)
    return {
        "threads": rows,
        "n_found": len(found),
        "n_all": len(records),
        "tenants": _tenants(records),
    }


def _tenants(records: Sequence[ThreadRecord]) -> list[str]:
    return list(dict.fromkeys(record.tenant for record in records))[:LISTED]


def _row(reading: Reading) -> dict[str, Any]:
    record = reading.record
    last = reading.store.last_turn(record)
    row: dict[str, Any] = {
        "tenant": record.tenant,
        "name": record.name,
        "n_entries": reading.store.head(record).n_entries,
        "n_turns": last,
        "is_fork": record.parent is not None,
        "closed_at": None,
        "input_tokens": 0,
        "limit_tokens": 0,
    }
    if last:
        turn, ledger = reading.ledger(last)
        row |= {
            "closed_at": turn.closed_at,
            "input_tokens": ledger.input_tokens,
            "limit_tokens": ledger.limit_tokens,
        }
    return row
