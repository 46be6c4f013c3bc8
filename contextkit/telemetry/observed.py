"""A manager's backend with a span around every model call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from contextkit.backend import Backend, Reply, ReplyChunk
from contextkit.call import Call

if TYPE_CHECKING:
    from contextkit.telemetry.spans import Telemetry


class ObservedBackend:
    """A backend whose calls have spans; everything else is the backend's own."""

    def __init__(self, backend: Backend, telemetry: Telemetry) -> None:
        self._backend, self._telemetry = backend, telemetry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def complete(self, call: Call) -> Reply:
        """Ask once, in a span that is current while the request is made."""
        return self._asked([call], lambda: [self._backend.complete(call)])[0]

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask several at once; each has a span as long as the batch."""
        return self._asked(calls, lambda: self._backend.complete_many(calls))

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Ask and hand on; the span ends with the last chunk, or where the reader stops.

        A reader that has the whole reply and does not ask for more has not stopped early.
        """
        telemetry, start = self._telemetry, time.perf_counter()
        span = telemetry.start(call, streams=True)
        reply: Reply | None = None
        has_begun = False
        chunks: Iterator[ReplyChunk] | None = None
        try:
            while True:
                with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                    chunks = chunks or self._backend.stream(call)
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                if not has_begun:
                    telemetry.first_chunk(span, time.perf_counter() - start)
                has_begun, reply = True, chunk.reply or reply
                yield chunk
        except GeneratorExit:
            if reply is None:
                telemetry.leave(span)
            else:
                telemetry.finish(span, reply, time.perf_counter() - start)
            raise
        except BaseException as error:
            telemetry.fail(span, error, time.perf_counter() - start)
            raise
        else:
            telemetry.finish(span, reply or Reply.of(""), time.perf_counter() - start)
        finally:
            if (close := getattr(chunks, "close", None)) is not None:
                close()

    def _asked(self, calls: Sequence[Call], ask: Callable[[], list[Reply]]) -> list[Reply]:
        telemetry, start = self._telemetry, time.perf_counter()
        spans = [telemetry.start(call) for call in calls]
        current = spans[0] if spans else trace.INVALID_SPAN
        try:
            with trace.use_span(current, record_exception=False, set_status_on_exception=False):
                replies = ask()
        except BaseException as error:
            for span in spans:
                telemetry.fail(span, error, time.perf_counter() - start)
            raise
        for span, reply in zip(spans, replies, strict=True):
            telemetry.finish(span, reply, time.perf_counter() - start)
        return replies
