"""Live updates as server-sent events: the store is asked, in a worker thread, what has changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from contextkit import bridge
from contextkit.errors import ContextKitError

POLL_S = 0.5
QUIET_S = 15.0
"""After so long without news a comment is sent, so that a dead connection shows."""


async def events(
    look: Callable[[], Any], is_over: Callable[[], bool], *, poll_s: float = POLL_S
) -> AsyncIterator[bytes]:
    """What `look` gives, as an event each time that it is something else; ends when `is_over`."""
    last: str | None = None
    quiet = 0.0
    yield b"retry: 1000\n\n"
    while not is_over():
        try:
            now = json.dumps(await bridge.call(look))
        except ContextKitError as error:
            yield _event("trouble", json.dumps({"error": str(error)}))
            return
        if now != last:
            yield _event("state", now)
            last, quiet = now, 0.0
        elif quiet >= QUIET_S:
            yield b": still here\n\n"
            quiet = 0.0
        await anyio.sleep(poll_s)
        quiet += poll_s


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode("ascii")
