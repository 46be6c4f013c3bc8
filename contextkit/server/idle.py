"""What the proxy does while nobody asks: what was recorded is brought to where power loss does no harm."""

from __future__ import annotations

import logging
import time
from typing import Protocol, runtime_checkable

import anyio
import anyio.to_thread

from contextkit.errors import StoreError
from contextkit.store import HistoryStore

IDLE_S = 1.0
"""How long nothing was recorded before it is done: a turn recorded meanwhile waits for the disk."""
_log = logging.getLogger("contextkit.server")


@runtime_checkable
class _Checkpointed(Protocol):
    """A store that writes into a log first, and moves what is in there now and then."""

    def checkpoint(self) -> None: ...


class Idle:
    """Has the store move its log once nothing was recorded for a while."""

    def __init__(self, history: HistoryStore) -> None:
        self._store = history if isinstance(history, _Checkpointed) else None
        self._recorded = anyio.Event()
        self._last = 0.0

    def recorded(self) -> None:
        """Something was recorded just now."""
        self._last = time.monotonic()
        self._recorded.set()

    async def watch(self) -> None:
        """Until it is cancelled; where the store fails, the log says so."""
        while self._store is not None:
            await self._recorded.wait()
            while (left := self._last + IDLE_S - time.monotonic()) > 0:
                await anyio.sleep(left)
            self._recorded = anyio.Event()
            try:
                await anyio.to_thread.run_sync(self._store.checkpoint)
            except StoreError as error:
                _log.warning("the store's log was not moved: %s", error)
