"""The provider behind the proxy: one request out, one answer back, headers of the hop left out."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from contextkit.server.headers import RawHeaders, as_text, headers_back
from contextkit.server.refusals import Refusal
from contextkit.server.settings import Settings

_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)

_NOT_ADDED = ("accept", "content-type", "user-agent")
"""Headers that the client library would add by itself."""
LONGEST_HEADER = 64 * 1024
PART = 256 * 1024
"""Bytes of a request that are written at once."""
STALE, STALE_S = 4, 5.0
"""Kept connections that may turn out closed before one request, and how soon that shows in seconds.

A server may close a connection at the moment in which it is used again; the request then never
reached it, and goes out once more on another.
"""


class BrokenOff(Exception):
    """The upstream began an answer and did not end it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent on."""

    method: str
    path: str
    query: bytes
    headers: RawHeaders
    body: bytes


class Incoming:
    """An answer whose head has come. Its body can be read once, unpacked."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    @property
    def is_events(self) -> bool:
        return (
            self._response.headers.get("content-type", "").lower().startswith("text/event-stream")
        )

    @property
    def headers(self) -> RawHeaders:
        """The provider's headers for the client."""
        return headers_back(self._response.raw_headers, self.status)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `BrokenOff`."""
        try:
            async for data in self._response.content.iter_any():
                yield data
        except aiohttp.ClientError as error:
            raise BrokenOff(_told(error)) from None

    async def content(self) -> bytes:
        """The whole body. Raises `Refusal` 502."""
        try:
            return await self._response.read()
        except aiohttp.ClientError as error:
            told = _told(error)
            raise Refusal(502, f"the upstream broke off its answer: {told}") from None


class Upstream:
    """The connections to the provider; they are opened where an event loop runs."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.base_url
        self._proxy = proxy_for(self._base)
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout_s, sock_read=settings.read_timeout_s
        )
        self._tls = ssl.create_default_context()
        self._opened: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    @asynccontextmanager
    async def answer(self, outgoing: Outgoing) -> AsyncGenerator[Incoming]:
        """The answer's head, its body still to be read; left early, the connection is closed.

        Raises `Refusal` 502 or 504 where no answer came.
        """
        response = await self._ask(outgoing)
        if response.status < 200:
            response.close()
            raise Refusal(502, f"the upstream answered with {response.status}, which ends nothing")
        try:
            yield Incoming(response)
        finally:
            response.close()

    async def _ask(self, outgoing: Outgoing) -> aiohttp.ClientResponse:
        query = f"?{outgoing.query.decode('ascii')}" if outgoing.query else ""
        url = URL(self._base + outgoing.path.removeprefix("/v1") + query, encoded=True)
        headers = [(name.decode("ascii"), as_text(value)) for name, value in outgoing.headers]
        for _ in range(STALE):
            connection = _Connection()
            since = time.monotonic()
            try:
                return await self._session().request(
                    outgoing.method,
                    url,
                    headers=headers,
                    data=_Bytes(outgoing.body) if outgoing.body else None,
                    allow_redirects=False,
                    proxy=self._proxy,
                    trace_request_ctx=connection,
                )
            except TimeoutError as error:
                raise Refusal(504, f"the upstream gave no answer: {_told(error)}") from None
            except aiohttp.ClientError as error:
                was_closed = isinstance(error, _CLOSED) and not connection.is_new
                if not was_closed or time.monotonic() - since > STALE_S:
                    told = _told(error)
                    raise Refusal(502, f"the upstream could not be asked: {told}") from None
        raise Refusal(502, "the upstream closed several kept connections one after another")

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_start.append(_is_new)
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                skip_auto_headers=_NOT_ADDED,
                trace_configs=[trace],
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
            )
        return self._opened


@dataclass(slots=True)
class _Connection:
    """Which connection a request goes over."""

    is_new: bool = False


async def _is_new(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    context.trace_request_ctx.is_new = True


class _Bytes(aiohttp.Payload):
    """A body of any length, written in parts: the loop is never kept by one of them."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._size = len(value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        view = memoryview(self._value)
        for start in range(0, len(view), PART):
            await writer.write(view[start : start + PART])


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (`HTTPS_PROXY`, `NO_PROXY`)."""
    parts = urlsplit(url)
    named = getproxies()
    found = named.get(parts.scheme) or named.get("all")
    return found if found and not proxy_bypass(parts.netloc) else None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
