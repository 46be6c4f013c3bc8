"""Managed requests through to the upstream and back, and everything else as it is."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from contextkit.backend import Reply
from contextkit.errors import ContextKitError, InvalidMessage
from contextkit.replies import collected_reply
from contextkit.server.endpoints import Endpoint
from contextkit.server.events import EventReader
from contextkit.server.exchange import ClientGone, Exchange
from contextkit.server.headers import headers_out
from contextkit.server.idle import Idle
from contextkit.server.metrics import Metrics
from contextkit.server.refusals import Refusal
from contextkit.server.settings import Settings
from contextkit.server.turns import Started, Turns
from contextkit.server.upstream import BrokenOff, Incoming, Outgoing, Upstream

AT_ONCE = 8
"""Threads that assemble, and as many that record."""
_log = logging.getLogger("contextkit.server")
_UNFINISHED = ("failed", "in_progress", "queued", "cancelled")
_DOTS = frozenset({".", ".."})
_NOT_PASSED = ("TRACE", "CONNECT")
"""Methods whose answer could show what is sent upstream, its key included."""
_TOO_LONG = (400, 413, 422)
"""Statuses that providers refuse a long request with, among other things."""


class Workers:
    """The threads in which the synchronous core works, so that the loop never waits for it.

    Recording has its own: what was answered is stored however long other calls take to assemble.
    """

    def __init__(self, turns: Turns, metrics: Metrics, idle: Idle) -> None:
        self._turns = turns
        self._metrics = metrics
        self._idle = idle
        self._assembling = anyio.CapacityLimiter(AT_ONCE)
        self._recording = anyio.CapacityLimiter(AT_ONCE)

    async def begin(self, endpoint: Endpoint, exchange: Exchange) -> Started:
        """The request read and its call assembled."""
        asker, since = exchange.asker, time.perf_counter()
        started = await anyio.to_thread.run_sync(
            partial(self._turns.begin, endpoint, asker.tenant, asker.thread, exchange.body),
            limiter=self._assembling,
        )
        call = started.begun.call if started.begun else None
        as_it_came = started.sent is exchange.body
        self._metrics.assembled(time.perf_counter() - since, call, as_it_came)
        return started

    async def smaller(self, started: Started, content: bytes) -> Started | None:
        """The request once more where the provider said it was too long; None where it can't be."""
        message, code = _error_in(content)
        try:
            return await anyio.to_thread.run_sync(
                partial(self._turns.smaller, started, message, code), limiter=self._assembling
            )
        except ContextKitError as error:
            _log.warning("the provider's refusal is handed on: %s", error)
            return None

    async def finish(self, exchange: Exchange, started: Started, read: Callable[[], Reply]) -> None:
        """The turn stored; what of it can't be is said in the log.

        Its body is remembered afterwards: nobody counts on that.
        """
        if started.begun is None:
            return
        since = time.perf_counter()
        ledger = await anyio.to_thread.run_sync(
            partial(self._turns.finish, started, read), limiter=self._recording
        )
        if ledger is None:
            self._metrics.lost()
            return
        self._metrics.recorded(time.perf_counter() - since, ledger.usage)
        self._idle.recorded()
        exchange.afterwards = partial(self._remember, started)

    async def _remember(self, started: Started) -> None:
        await anyio.to_thread.run_sync(
            partial(self._turns.remember, started), limiter=self._recording
        )
        self._metrics.remembered.set(self._turns.bodies.held_bytes)


class Relay:
    """Answers with what the upstream answers."""

    def __init__(self, settings: Settings, upstream: Upstream, workers: Workers) -> None:
        self._settings = settings
        self._upstream = upstream
        self._workers = workers

    async def managed(self, endpoint: Endpoint, exchange: Exchange) -> None:
        """A request whose history is managed."""
        started = await self._workers.begin(endpoint, exchange)
        outgoing = self._outgoing(exchange, started.sent)
        async with self._upstream.answer(outgoing) as response:
            if response.status not in _TOO_LONG or started.begun is None:
                await self._answered(exchange, started, response)
                return
            content = await response.content()
            smaller = await self._workers.smaller(started, content)
            if smaller is None:
                await exchange.out.whole(response.status, response.headers, content)
                return
        async with self._upstream.answer(replace(outgoing, body=smaller.sent)) as response:
            await self._answered(exchange, smaller, response)

    async def untouched(self, exchange: Exchange) -> None:
        """Anything else that the upstream understands. Raises `Refusal` 404 and 405."""
        if _DOTS.intersection(exchange.path.split("/")):
            raise Refusal(404, f"{exchange.path}: a path leads down from /v1/")
        if exchange.scope["method"] in _NOT_PASSED:
            raise Refusal(405, f"{exchange.scope['method']}: is not passed on")
        async with self._upstream.answer(self._outgoing(exchange, exchange.body)) as response:
            await _handed_on(exchange, response)

    def _outgoing(self, exchange: Exchange, body: bytes) -> Outgoing:
        headers = headers_out(
            exchange.scope["headers"],
            exchange.shape,
            self._settings.upstream_key,
            exchange.asker.key_is_token,
        )
        scope = exchange.scope
        path = scope.get("raw_path", scope["path"].encode()).decode("ascii")
        return Outgoing(scope["method"], path, scope["query_string"], headers, body)

    async def _answered(self, exchange: Exchange, started: Started, response: Incoming) -> None:
        if response.status != 200 or started.begun is None:
            await _handed_on(exchange, response)
        elif response.is_events:
            await self._streamed(exchange, started, response)
        else:
            content = await response.content()
            await self._workers.finish(
                exchange, started, partial(_reply, started.endpoint, content)
            )
            await exchange.out.whole(response.status, response.headers, content)

    async def _streamed(self, exchange: Exchange, started: Started, response: Incoming) -> None:
        """Events handed on as they come; the last ones once the turn is stored."""
        out, reader = exchange.out, EventReader(started.endpoint)
        headers = [(n, v) for n, v in response.headers if n != b"content-length"]
        await out.begin(response.status, headers)
        recorded = cut = False
        try:
            async for data in response.chunks():
                await out.write(reader.feed(data))
                if reader.is_complete and not recorded:
                    recorded = True
                    await self._recorded(exchange, started, reader)
                    await out.write(reader.flush())
        except BrokenOff as error:
            cut = True
            _log.warning("the upstream broke off a stream: %s", error)
        if reader.collector.finished and not recorded:
            await self._recorded(exchange, started, reader)
        rest = reader.flush()
        if cut:
            await out.write(rest)
            raise ClientGone("the stream is broken off as the upstream broke it off")
        await out.end(rest)

    async def _recorded(self, exchange: Exchange, started: Started, reader: EventReader) -> None:
        read = partial(collected_reply, reader.collector)
        await self._workers.finish(exchange, started, read)


async def _handed_on(exchange: Exchange, response: Incoming) -> None:
    """The answer as it comes."""
    await exchange.out.begin(response.status, response.headers)
    try:
        async for data in response.chunks():
            await exchange.out.write(data)
    except BrokenOff as error:
        _log.warning("the upstream broke off an answer: %s", error)
        raise ClientGone("the answer is broken off as the upstream broke it off") from None
    await exchange.out.end()


def _reply(endpoint: Endpoint, content: bytes) -> Reply:
    """A whole answer read. Raises `InvalidMessage` for one that is none."""
    try:
        reply = endpoint.wire.reply(json.loads(content))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidMessage(f"the provider's reply cannot be read: {error!r}") from None
    if reply.finish_reason in _UNFINISHED:
        raise InvalidMessage(f"the provider's reply is {reply.finish_reason}")
    return reply


def _error_in(content: bytes) -> tuple[str, str | None]:
    """Message and code of a provider's error."""
    try:
        value: Any = json.loads(content)
    except ValueError:
        return content.decode(errors="replace"), None
    error = value.get("error", value) if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    if not isinstance(error, dict):
        return str(error), None  # pyright: ignore[reportUnknownArgumentType]
    code: Any = error.get("code")  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    return str(error.get("message", "")), code if isinstance(code, str) else None  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
