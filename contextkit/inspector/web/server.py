"""The inspector served by uvicorn: in the foreground, or beside a program for as long as it wants."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import uvicorn

from contextkit.errors import ConfigError
from contextkit.inspector.web.app import create_app
from contextkit.inspector.web.guard import is_loopback
from contextkit.manager import ContextManager

HOST, PORT = "127.0.0.1", 8642
START_S = 10.0


def serve(
    manager: ContextManager,
    *,
    host: str = HOST,
    port: int = PORT,
    token: str | None = None,
    query: Mapping[str, str] | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted. `announce` is given the address to open, with the token if there is one.

    Bound to anything but the loopback a token is always asked for; where none is given one is made.
    `query` names a thread to begin with. Raises `ConfigError` where the port is taken.
    """
    server, bound, address = _prepare(manager, host, port, token, query)
    announce(address)
    server.run([bound])


@contextmanager
def running(
    manager: ContextManager, *, host: str = HOST, port: int = 0, token: str | None = None
) -> Generator[str]:
    """Serve from a thread of this process; yields the address. For notebooks and histories in memory."""
    server, bound, address = _prepare(manager, host, port, token, None)
    worker = threading.Thread(target=server.run, args=([bound],), name="inspector", daemon=True)
    worker.start()
    try:
        yield address
    finally:
        server.should_exit = True
        worker.join(START_S)
        bound.close()


def _prepare(
    manager: ContextManager,
    host: str,
    port: int,
    token: str | None,
    query: Mapping[str, str] | None,
) -> tuple[uvicorn.Server, socket.socket, str]:
    if token is not None and not token.strip():
        raise ConfigError("token: empty; leave it out, and one is made where it is needed")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    bound = _bind(host, port)
    names = {"localhost", host.lower(), socket.gethostname().lower()}
    app = create_app(manager, token=token, names=names, is_over=lambda: server.should_exit)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        ws="none",
        lifespan="off",
    )
    server = uvicorn.Server(config)
    asked = dict(query or {}) | ({"token": token} if token else {})
    path = ("/thread" if query else "/") + (f"?{urlencode(asked)}" if asked else "")
    return server, bound, f"http://{_shown(host)}:{bound.getsockname()[1]}{path}"


def _shown(host: str) -> str:
    """A host as it stands in an address; every interface is reached by its own machine's name."""
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"host, port: {host}:{port} cannot be opened ({error.strerror or error}); "
            "take another --port, or 0 for any free one"
        ) from None
    return bound
