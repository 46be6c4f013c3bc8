"""The application: which path is answered by what, and what every request goes through before."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from contextkit.errors import ContextKitError
from contextkit.manager import ContextManager
from contextkit.server.endpoints import CHAT_API, ENDPOINTS
from contextkit.server.exchange import (
    ClientGone,
    Exchange,
    Outlet,
    read_body,
    while_connected,
)
from contextkit.server.idle import Idle
from contextkit.server.metrics import Metrics
from contextkit.server.own_answers import OwnAnswers
from contextkit.server.refusals import Refusal, Shape, refusal_of
from contextkit.server.relay import Relay, Workers
from contextkit.server.settings import Settings
from contextkit.server.tenants import Limits, asker_of, check_admin
from contextkit.server.turns import Turns
from contextkit.server.upstream import Upstream

Answer = Callable[[Exchange], Awaitable[None]]
_log = logging.getLogger("contextkit.server")


class Gate:
    """Lets a request in, has it answered, and says no in the shape that its client understands."""

    def __init__(
        self,
        answer: Answer,
        path: str,
        settings: Settings,
        limits: Limits,
        metrics: Metrics,
        *,
        json_only: bool = False,
    ) -> None:
        self._answer = answer
        self._path = path
        self._settings = settings
        self._limits = limits
        self._metrics = metrics
        self._json_only = json_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shape = _shape(scope)
        out = Outlet(send, self._settings.write_timeout_s)
        try:
            with self._metrics.under_way.track_inprogress():
                await self._let_in(scope, receive, shape, out)
        except ClientGone as gone:
            _log.info("%s: %s", self._path, gone)
        except Exception as error:  # noqa: BLE001  what nobody foresaw is told and answered
            await self._refuse(shape, out, error)
        self._metrics.answered(self._path, out.status or 499)

    async def _let_in(self, scope: Scope, receive: Receive, shape: Shape, out: Outlet) -> None:
        headers = Headers(scope=scope)
        asker = asker_of(headers, self._settings)
        if self._json_only and not _is_json(headers):
            raise Refusal(415, "content-type: application/json would work", closes=True)
        with self._limits.request(asker.tenant):
            body = await read_body(scope, receive, self._settings)
            exchange = Exchange(scope, shape, asker, body, out)
            await while_connected(receive, partial(self._answer, exchange))
        if exchange.afterwards is not None:  # its client may ask again already
            await exchange.afterwards()

    async def _refuse(self, shape: Shape, out: Outlet, error: Exception) -> None:
        if isinstance(error, ContextKitError):
            refusal = refusal_of(error)
        else:
            _log.error("%s: %s", self._path, type(error).__name__, exc_info=error)
            refusal = Refusal(500, "the proxy failed; its log says why")
        if out.status:
            _log.warning("%s: an answer is broken off: %s", self._path, error)
            return
        try:
            await out.refuse(shape, refusal)
        except ClientGone as gone:
            _log.info("%s: %s", self._path, gone)


def create_app(manager: ContextManager, settings: Settings) -> Starlette:
    """The proxy as an ASGI application. The manager stays the caller's, who closes it."""
    metrics = Metrics()
    limits = Limits(settings.requests_per_minute, settings.concurrency)
    idle = Idle(manager.history)
    workers = Workers(Turns(manager, settings.remembered_bytes), metrics, idle)
    upstream = Upstream(settings) if settings.upstream else None

    def gate(answer: Answer, path: str, *, json_only: bool = False) -> Gate:
        return Gate(answer, path, settings, limits, metrics, json_only=json_only)

    asked: dict[str, Answer]
    if upstream is not None:
        relay = Relay(settings, upstream, workers)
        asked = {each.path: partial(relay.managed, each) for each in ENDPOINTS}
        other: Answer = relay.untouched
    else:
        own = OwnAnswers(manager, workers)
        asked = {CHAT_API.path: own.completion}
        other = own.other

    async def show_metrics(request: Request) -> Response:
        try:
            check_admin(request.headers, settings)
        except Refusal as refusal:
            return Response(refusal.body("openai"), refusal.status, media_type="application/json")
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as beside:
            beside.start_soon(idle.watch)
            try:
                yield
            finally:
                beside.cancel_scope.cancel()
                if upstream is not None:
                    await upstream.close()

    return Starlette(
        routes=[
            Route("/healthz", _healthy, methods=["GET"]),
            Route("/metrics", show_metrics, methods=["GET"]),
            *(
                Route(path, gate(answer, path, json_only=True), methods=["POST"])
                for path, answer in asked.items()
            ),
            Route("/v1/{rest:path}", gate(other, "/v1/*")),
            Route("/{rest:path}", gate(_nowhere, "other")),
        ],
        lifespan=lifespan,
    )


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _nowhere(exchange: Exchange) -> None:
    raise Refusal(404, f"{exchange.path}: nothing is here; the API begins with /v1/")


def _shape(scope: Scope) -> Shape:
    """Whose API a request speaks: by its path, else by a header that only Anthropic's clients send."""
    for endpoint in ENDPOINTS:
        if scope["path"].startswith(endpoint.path):
            return endpoint.shape
    return "anthropic" if "anthropic-version" in Headers(scope=scope) else "openai"


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"
