"""From the synchronous core to async callers: thin bridges over worker threads (anyio)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

T = TypeVar("T")
_END = object()


async def call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a function in a worker thread and wait for it without blocking the loop."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))


async def iterate(start: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Walk an iterator in worker threads; it is closed when the reader stops early."""
    iterator = await call(start)
    try:
        while True:
            value: Any = await call(next, iterator, _END)
            if value is _END:
                break
            yield value
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
