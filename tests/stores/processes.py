"""Starts and kills processes that run `tests.stores.writer`.

They come from multiprocessing's fork server, which imports everything once: a fresh interpreter for
each of hundreds of trials would take a second each.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from tests.stores import writer

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.stores.writer", "psycopg", "sqlalchemy.dialects.postgresql"])


class Writer:
    """One process at work; everything it sends is something a store has returned from."""

    def __init__(self, url: str, tenant: str, what: str, times: int = 0) -> None:
        receiver, sender = _server.Pipe(duplex=False)
        self._receiver: Connection[Any, Any] = receiver
        self._process: ForkServerProcess = _server.Process(
            target=writer.main, args=(sender, url, tenant, what, times)
        )
        self._process.start()
        sender.close()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def first(self) -> list[Any]:
        """Waits for the first acknowledgement."""
        acknowledged: list[Any] = self._receiver.recv()
        return acknowledged

    def kill(self) -> list[list[Any]]:
        """Kills it this instant (SIGKILL); everything it had acknowledged."""
        self._process.kill()
        acknowledged = self._drain()
        self._end()
        return acknowledged

    def finish(self) -> list[list[Any]]:
        """Waits for its end, which must be a good one; everything it acknowledged."""
        acknowledged = self._drain()
        assert self._end() == 0
        return acknowledged

    def _drain(self) -> list[list[Any]]:
        acknowledged: list[list[Any]] = []
        try:
            while True:
                acknowledged.append(self._receiver.recv())
        except (EOFError, ConnectionResetError):
            return acknowledged

    def _end(self) -> int | None:
        self._process.join(60)
        code = self._process.exitcode
        self._process.close()
        self._receiver.close()
        return code


def finish(writers: list[Writer]) -> list[list[Any]]:
    return [acknowledged for each in writers for acknowledged in each.finish()]
