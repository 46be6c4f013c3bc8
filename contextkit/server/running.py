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
STILL_THERE_S = 0.1, 10.0
"""How soon, and at the longest how often, a client is tried that ended its side of the connection."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
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
    protocol = _with_short_heads(_without_idlers(config.http_protocol_class))
    config.http_protocol_class = _with_half_closed(protocol)
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


def _with_half_closed(protocol: Any) -> Any:
    """The HTTP protocol with answers for clients that end their side behind a whole request.

    What they send then is what a client sends that left. The two are told apart by an interim answer,
    which every HTTP/1.1 client has to pass over (RFC 9110 §15.2) and nobody takes where it left: the
    next one finds the connection gone. An answer that was begun can't be tried so; that client left.
    """

    class HalfClosed(protocol):  # type: ignore[misc]  # pyright: ignore[reportUntypedBaseClass]
        """Goes on with a request whose client may still be there."""

        _trial: Any = None

        def eof_received(self) -> bool:
            cycle: Any = self.cycle
            if cycle is None or cycle.more_body or cycle.response_started:
                return False
            if cycle.scope["http_version"] != "1.1" or self.scheme != "http":
                return False
            cycle.keep_alive = False
            self._try(STILL_THERE_S[0])
            return True

        def connection_lost(self, exc: Exception | None) -> None:
            if self._trial is not None:
                self._trial.cancel()
            super().connection_lost(exc)  # pyright: ignore[reportUnknownMemberType]

        def _try(self, pause_s: float) -> None:
            if self.transport.is_closing() or self.cycle.response_started:
                return
            if not self.pipeline:  # else the request under way is an earlier one
                self.transport.write(_CONTINUE)
            longer = min(2 * pause_s, STILL_THERE_S[1])
            self._trial = self.loop.call_later(pause_s, self._try, longer)

    return HalfClosed
