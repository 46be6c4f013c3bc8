"""What the proxy does beside its answers: what was recorded is brought to where power loss does no harm."""

from __future__ import annotations

import logging
import time
from typing import Protocol, runtime_checkable

import anyio
import anyio.to_thread

from contextkit.errors import StoreError
from contextkit.store import HistoryStore

IDLE_S = 1.0
"""How long nothing was recorded before it is done: a turn recorded meanwhile may wait for the disk."""
EVERY = 400
"""Turns after which it is done without a pause, before the log is so long that a commit has to do it."""
LOOK_S = 0.1
"""How often it is looked whether it is time."""
_log = logging.getLogger("contextkit.server")


@runtime_checkable
class _Checkpointed(Protocol):
    """A store that writes into a log first, and moves what is in there now and then."""

    def checkpoint(self) -> None: ...


class Idle:
    """Has the store move its log once nothing was recorded for a while, or much was."""

    def __init__(self, history: HistoryStore) -> None:
        self._store = history if isinstance(history, _Checkpointed) else None
        self._recorded = anyio.Event()
        self._last = 0.0
        self._n_turns = 0

    def recorded(self) -> None:
        """A turn was recorded just now."""
        self._last = time.monotonic()
        self._n_turns += 1
        self._recorded.set()

    async def watch(self) -> None:
        """Until it is cancelled; where the store fails, the log says so."""
        while self._store is not None:
            await self._recorded.wait()
            while (left := self._last + IDLE_S - time.monotonic()) > 0 and self._n_turns < EVERY:
                await anyio.sleep(min(left, LOOK_S))
            self._recorded, self._n_turns = anyio.Event(), 0
            try:
                await anyio.to_thread.run_sync(self._store.checkpoint)
            except StoreError as error:
                _log.warning("the store's log was not moved: %s", error)
