"""The proxy as a process: sockets, slow connections, an end that lets answers under way come whole."""

from __future__ import annotations

import gc
import re
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from contextkit.server.app import create_app
from contextkit.server.settings import Settings

if TYPE_CHECKING:
    from contextkit.manager import ContextManager

IDLE_S = 20.0
"""A connection without a request under way is looked at this often, and closed the second time."""
SWITCH_S = 0.0005
"""How long a thread may compute while others wait for the interpreter."""
LONGEST_HEAD = 128 * 1024
"""Bytes of a request before its body; what came in one piece is taken whole."""
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)


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
        http="httptools",
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
    config.http_protocol_class = _with_short_heads(_without_idlers(config.http_protocol_class))
    return uvicorn.Server(config)


def tune_interpreter() -> None:
    """For a process that does nothing but serve: requests seldom wait for Python itself.

    What stands now is never looked through again by the cycle collector. Long conversations are many
    objects without cycles; looking through all of them takes tens of milliseconds and frees nothing. And
    while one thread reads a long history, the event loop is let in after half a millisecond, not five.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    sys.setswitchinterval(SWITCH_S)


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


def _with_short_heads(protocol: Any) -> Any:
    """The HTTP protocol with heads that end, and without those parts of them that would do harm."""

    class ShortHeads(protocol):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
        """Looks at a request up to its body."""

        _n_bytes = 0
        _in_head = _in_message = False

        def data_received(self, data: bytes) -> None:
            if not self._in_message:
                data = _not_upgraded(data)
            goes_on = self._in_head
            super().data_received(data)  # pyright: ignore[reportUnknownMemberType]
            self._n_bytes = self._n_bytes + len(data) if goes_on and self._in_head else 0
            if self._n_bytes > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response(f"the head of a request has {LONGEST_HEAD:,} bytes at most")

        def on_message_begin(self) -> None:
            self._in_head = self._in_message = True
            super().on_message_begin()  # pyright: ignore[reportUnknownMemberType]

        def on_headers_complete(self) -> None:
            self._in_head = False
            super().on_headers_complete()  # pyright: ignore[reportUnknownMemberType]
            self.headers: list[Any] = []  # fields behind a body are not the request's headers

        def on_message_complete(self) -> None:
            self._in_message = False
            super().on_message_complete()  # pyright: ignore[reportUnknownMemberType]

    return ShortHeads


def _not_upgraded(data: bytes) -> bytes:
    """The beginning of a request without its wish for another protocol, which nobody has to grant.

    Clients that would rather speak HTTP/2 (Java's own among them) ask so with every first request; the
    parser would take the body behind such a head for that protocol.
    """
    end = data.find(b"\r\n\r\n") + len(b"\r\n")
    wish = _UPGRADE.search(data, 0, end)
    return _not_upgraded(data[: wish.start()] + data[wish.end() :]) if wish else data
