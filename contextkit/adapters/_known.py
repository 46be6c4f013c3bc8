"""Threads at hand: what their logs hold, by keys, and by which opening a nameless one is found."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from contextkit.adapters._said import Said, digest, opening_name, shared

if TYPE_CHECKING:
    from contextkit.thread import Thread

REMEMBERED_THREADS = 256
REMEMBERED_ENTRIES = 500_000
"""Threads whose comparison keys stay in memory, and entries of all of them together; others are read
from the store again."""
ALIKE = 16
"""Conversations with one first request that are looked at for changed instructions."""


@dataclass(slots=True)
class Known:
    """A thread with the keys of what its log holds."""

    thread: Thread
    keys: list[bytes] = field(default_factory=list[bytes])
    n_bytes: int = 0
    """What its history takes, where that was told."""


class KnownThreads:
    """Threads of all tenants, the longest unused forgotten. Safe to share."""

    def __init__(
        self,
        n_threads: int = REMEMBERED_THREADS,
        n_entries: int = REMEMBERED_ENTRIES,
        n_bytes: float = math.inf,
    ) -> None:
        self._limits = n_threads, n_entries, n_bytes
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._alike: OrderedDict[tuple[str, str], OrderedDict[str, None]] = OrderedDict()
        self._lock = Lock()

    def find(self, tenant: str, name: str) -> Known | None:
        """What is known of a thread, which counts as its use."""
        with self._lock:
            found = self._known.get((tenant, name))
            if found is not None:
                self._known.move_to_end((tenant, name))
            return found

    def add(self, tenant: str, name: str, known: Known) -> None:
        """Remember a thread; the newest stays even where it alone is over the limits."""
        with self._lock:
            self._known[tenant, name] = known
            self._trim()

    def weigh(self, tenant: str, name: str, n_bytes: int) -> None:
        """Say what a thread's history takes, messages and all, which its thread keeps at hand."""
        with self._lock:
            found = self._known.get((tenant, name))
            if found is not None:
                found.n_bytes = n_bytes
                self._trim()

    def _trim(self) -> None:
        held = list(self._known.values())
        n_threads, n_entries = len(held), sum(len(each.keys) for each in held)
        n_bytes = sum(each.n_bytes for each in held)
        limits = self._limits
        while n_threads > 1 and (
            n_threads > limits[0] or n_entries > limits[1] or n_bytes > limits[2]
        ):
            _, gone = self._known.popitem(last=False)
            n_threads, n_entries = n_threads - 1, n_entries - len(gone.keys)
            n_bytes -= gone.n_bytes

    def forget(self, tenant: str) -> None:
        """Look at a tenant's threads anew: one of them is not there any more."""
        with self._lock:
            for place in [place for place in self._known if place[0] == tenant]:
                del self._known[place]

    def name(self, tenant: str, said: Said) -> str:
        """What the conversation of a history is called that nobody named.

        Where its instructions are others than before, it is found by its first request and an answer
        that both share, as long as its thread is at hand; else it is a conversation of its own.
        """
        name = opening_name(said)
        if not said.instructions:
            return name
        alike = tenant, digest(said.keys[: said.n_opening])
        with self._lock:
            names = self._alike.setdefault(alike, OrderedDict())
            if (tenant, name) not in self._known:
                name = next((n for n in reversed(names) if self._goes_on(tenant, n, said)), name)
            names[name] = None
            names.move_to_end(name)
            self._alike.move_to_end(alike)
            if len(names) > ALIKE:
                names.popitem(last=False)
            if len(self._alike) > self._limits[0]:
                self._alike.popitem(last=False)
        return name

    def _goes_on(self, tenant: str, name: str, said: Said) -> bool:
        known = self._known.get((tenant, name))
        return known is not None and shared(known.keys, said.keys) > said.n_opening
