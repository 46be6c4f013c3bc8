"""The proxy as a process: sockets, slow connections, an end that lets answers under way come whole."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import uvicorn

from contextkit.server.app import create_app
from contextkit.server.settings import Settings

if TYPE_CHECKING:
    from contextkit.manager import ContextManager

IDLE_S = 20.0
"""A connection without a request under way is looked at this often, and closed the second time."""


def server_of(
    manager: ContextManager, settings: Settings, *, host: str, port: int, log_level: str = "warning"
) -> uvicorn.Server:
    """A server that is not running yet: `run()` blocks until it is told to stop.

    SIGTERM or SIGINT: no new connections, answers under way go on for `drain_s`.
    """
    config = uvicorn.Config(
        create_app(manager, settings),
        host=host,
        port=port,
        log_level=log_level,
        access_log=False,
        server_header=False,
        date_header=settings.upstream is None,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        backlog=1024,
        timeout_keep_alive=int(IDLE_S),
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    config.load()
    config.http_protocol_class = _without_idlers(config.http_protocol_class)
    return uvicorn.Server(config)


def collect_seldom() -> None:
    """For a process that does nothing but serve: Python's cycle collector seldom stops a request.

    What stands now is never looked through again. Long conversations are many objects without cycles;
    looking through all of them takes tens of milliseconds and frees nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _without_idlers(protocol: Any) -> Any:
    """The HTTP protocol with an end to connections that hold their place and never ask."""

    class Watched(protocol):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
        """Closes a connection whose request's head does not come."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)  # pyright: ignore[reportUnknownMemberType]
            self._idle_since: Any = None
            self._watch = self.loop.call_later(IDLE_S, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self._watch.cancel()
            super().connection_lost(exc)  # pyright: ignore[reportUnknownMemberType]

        def _look(self) -> None:
            if self.transport.is_closing():
                return
            busy = self.cycle is not None and not self.cycle.response_complete
            if not busy and self._idle_since == (self.cycle,):
                self.transport.close()
                return
            self._idle_since = None if busy else (self.cycle,)
            self._watch = self.loop.call_later(IDLE_S, self._look)

    return Watched
