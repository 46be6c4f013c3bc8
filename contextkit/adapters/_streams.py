"""Streams of an SDK handed on unchanged while the reply is put together and, at its end, recorded.

A reader that stops early leaves the thread as it was. What the SDK's own stream has beside its
events (`get_final_message`, `text_stream`, `response`, …) works as there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from contextkit.dialects.streams import Collector

Pick = Callable[[Any], Mapping[str, Any] | None]
"""The wire form of an event, or None for one that the SDK made up itself."""


class RecordedStream:
    """A synchronous stream; `record` is called once, when all of the reply has come."""

    def __init__(
        self, inner: Any, collector: Collector, pick: Pick, record: Callable[[Collector], None]
    ) -> None:
        self._inner = inner
        self._collector = collector
        self._pick = pick
        self._record = record
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            event = next(self._inner)
        except StopIteration:
            self.end()
            raise
        if (wire := self._pick(event)) is not None:
            self._collector.add(wire)
        return event

    def __enter__(self) -> RecordedStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; what was read whole is recorded."""
        self._inner.close()
        self.end()

    def end(self) -> None:
        """Record the reply, where all of it has come."""
        if self._collector.finished and not self._ended:
            self._ended = True
            self._record(self._collector)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "text_stream":
            return (event.delta.text for event in self if _is_text(event))
        if not (name == "until_done" or name.startswith("get_final")):
            return found

        def read_to_the_end() -> Any:
            for _ in self:
                pass
            return self if name == "until_done" else found()

        return read_to_the_end


class AsyncRecordedStream:
    """An asynchronous stream; `record` is awaited once, when all of the reply has come."""

    def __init__(
        self,
        inner: Any,
        collector: Collector,
        pick: Pick,
        record: Callable[[Collector], Awaitable[None]],
    ) -> None:
        self._inner = inner
        self._collector = collector
        self._pick = pick
        self._record = record
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            event = await self._inner.__anext__()
        except StopAsyncIteration:
            await self.end()
            raise
        if (wire := self._pick(event)) is not None:
            self._collector.add(wire)
        return event

    async def __aenter__(self) -> AsyncRecordedStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the connection; what was read whole is recorded."""
        await self._inner.close()
        await self.end()

    aclose = close

    async def end(self) -> None:
        """Record the reply, where all of it has come."""
        if self._collector.finished and not self._ended:
            self._ended = True
            await self._record(self._collector)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "text_stream":
            return self._texts()
        if not (name == "until_done" or name.startswith("get_final")):
            return found

        async def read_to_the_end() -> Any:
            async for _ in self:
                pass
            return self if name == "until_done" else await found()

        return read_to_the_end

    async def _texts(self) -> AsyncIterator[str]:
        async for event in self:
            if _is_text(event):
                yield event.delta.text


def _is_text(event: Any) -> bool:
    return bool(event.type == "content_block_delta" and event.delta.type == "text_delta")
