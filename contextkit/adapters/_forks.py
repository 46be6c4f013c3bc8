"""Sessions over an append-only log, which is never edited.

Where a framework takes messages back or clears a session, it goes on in a fork, `NAME~2`, `NAME~3`, …;
the newest is the session, and all of them stay to be read.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from contextkit.adapters._shared import check_manager
from contextkit.errors import StoreError

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.thread import Thread


class Forks:
    """The threads of one session; other processes may hold the same."""

    def __init__(self, manager: ContextManager, name: str, tenant: str) -> None:
        check_manager(manager)
        self.name = name
        self.lock = RLock()
        self._manager = manager
        self._tenant = tenant
        self._number = 1

    @property
    def thread(self) -> Thread:
        """The thread that holds the session now."""
        with self.lock:
            while self._exists(self._name(self._number + 1)):
                self._number += 1
            return self._manager.thread(self._name(self._number), tenant=self._tenant)

    def go_on_from(self, at: int) -> None:
        """Keep entries `0 <= seq < at` of the session, in its next fork."""
        with self.lock:
            thread = self.thread
            name = self._name(self._number + 1)
            try:
                thread.fork(at, name)
            except StoreError:
                if not self._exists(name):  # another process may have made it just now
                    raise
            self._number += 1

    def _name(self, number: int) -> str:
        return self.name if number == 1 else f"{self.name}~{number}"

    def _exists(self, name: str) -> bool:
        store, counter = self._manager.history, self._manager.counter.name
        return store.open_thread(self._tenant, name, counter=counter, create=False) is not None
