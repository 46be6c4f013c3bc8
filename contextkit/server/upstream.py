"""The provider behind the proxy: one request out, one answer back, headers of the hop left out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from contextkit.server.refusals import Refusal, Shape
from contextkit.server.settings import Settings
from contextkit.server.tenants import KEY_HEADERS

RawHeaders = list[tuple[bytes, bytes]]

_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
_REQUEST = frozenset({b"host", b"content-length", b"accept-encoding", b"expect"})
STALE, STALE_S = 4, 5.0
"""Kept connections that may turn out closed before one request, and how soon that shows in seconds.

A server may close a connection at the moment in which it is used again; the request then never
reached it, and goes out once more on another.
"""
_KEYS = frozenset(name.encode() for name in KEY_HEADERS)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent on."""

    method: str
    path: str
    query: bytes
    headers: RawHeaders
    body: bytes


class Upstream:
    """The connections to the provider."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.base_url
        timeout = httpx.Timeout(
            settings.read_timeout_s, connect=settings.connect_timeout_s, pool=None
        )
        self._timeout = timeout.as_dict()
        # Without httpx's client in front of it: nothing here is redirected or keeps cookies.
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=512),
            proxy=proxy_for(self._base),
        )

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def answer(self, outgoing: Outgoing) -> AsyncGenerator[httpx.Response]:
        """The answer's head, its body still to be read; left early, the connection is closed.

        Raises `Refusal` 502 or 504 where no answer came.
        """
        response = await self._ask(outgoing)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _ask(self, outgoing: Outgoing) -> httpx.Response:
        url = httpx.URL(self._base + outgoing.path.removeprefix("/v1"))
        if outgoing.query:
            url = url.copy_with(query=outgoing.query)
        for _ in range(STALE):
            is_new = False

            async def trace(event: str, _: Any) -> None:
                nonlocal is_new
                is_new = is_new or event == "connection.connect_tcp.started"

            request = httpx.Request(
                outgoing.method,
                url,
                headers=outgoing.headers,
                content=outgoing.body or None,
                extensions={"timeout": self._timeout, "trace": trace},
            )
            since = time.monotonic()
            try:
                return await self._transport.handle_async_request(request)
            except httpx.TimeoutException as error:
                raise Refusal(504, f"the upstream gave no answer: {_told(error)}") from None
            except httpx.HTTPError as error:
                if is_new or time.monotonic() - since > STALE_S:
                    told = _told(error)
                    raise Refusal(502, f"the upstream could not be asked: {told}") from None
        raise Refusal(502, "the upstream closed several kept connections one after another")


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address (`HTTPS_PROXY`, `NO_PROXY`)."""
    parts = urlsplit(url)
    named = getproxies()
    found = named.get(parts.scheme) or named.get("all")
    return found if found and not proxy_bypass(parts.netloc) else None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


def headers_out(
    raw: Iterable[tuple[bytes, bytes]], shape: Shape, key: str | None, drop_keys: bool
) -> RawHeaders:
    """The client's headers for the provider, with the proxy's own `key` where it has one.

    The answer is asked for unpacked: it is read here too.
    """
    kept = [
        (name, value)
        for name, value in end_to_end(raw)
        if name not in _REQUEST
        and not name.startswith(b"x-contextkit-")
        and not (name in _KEYS and (key or drop_keys))
    ]
    kept.append((b"accept-encoding", b"identity"))
    if key and shape == "anthropic":
        kept.append((b"x-api-key", key.encode()))
    elif key:
        kept.append((b"authorization", b"Bearer " + key.encode()))
    return kept


def headers_back(response: httpx.Response) -> RawHeaders:
    """The provider's headers for the client, without those that its packing needed."""
    packed = "content-encoding" in response.headers
    return [
        (name, value)
        for name, value in end_to_end((n.lower(), v) for n, v in response.headers.raw)
        if not (packed and name in (b"content-encoding", b"content-length"))
    ]


def end_to_end(raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Headers without those of this hop, by RFC 9110 §7.6.1."""
    headers = list(raw)
    named = {
        name.strip().lower()
        for header, value in headers
        if header == b"connection"
        for name in value.split(b",")
    }
    return [(name, value) for name, value in headers if name not in _HOP and name not in named]
