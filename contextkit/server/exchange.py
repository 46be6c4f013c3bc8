"""One request and its answer: the body within limits, chunks out in time, an end when the client goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from contextkit.server.refusals import Refusal, Shape
from contextkit.server.settings import Settings
from contextkit.server.tenants import Asker


class ClientGone(Exception):
    """Nobody is there any more to answer."""


@dataclass(slots=True)
class Exchange:
    """A request that was let in, with its whole body, and the way back to the client."""

    scope: Scope
    shape: Shape
    asker: Asker
    body: bytes
    out: Outlet
    afterwards: Callable[[], Awaitable[None]] | None = None
    """What is left to do once the client has its answer."""

    @property
    def path(self) -> str:
        return str(self.scope["path"])


@dataclass(slots=True)
class Outlet:
    """The way back to the client."""

    send: Send
    timeout_s: float
    status: int = field(default=0)
    """The answer's status once it was begun; it can't be another one then."""

    async def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self._put({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        if data:
            await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._put({"type": "http.response.body", "body": data, "more_body": False})

    async def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], data: bytes) -> None:
        """A whole answer; its length is said."""
        said = [(n, v) for n, v in headers if n != b"content-length"]
        await self.begin(status, [*said, (b"content-length", b"%d" % len(data))])
        await self.end(data)

    async def refuse(self, shape: Shape, refusal: Refusal) -> None:
        await self.whole(refusal.status, refusal.headers, refusal.body(shape))

    async def _put(self, message: dict[str, object]) -> None:
        try:
            with anyio.fail_after(self.timeout_s):
                await self.send(message)
        except TimeoutError:
            raise ClientGone("the client does not read what it is sent") from None


async def read_body(scope: Scope, receive: Receive, settings: Settings) -> bytes:
    """The whole body. Raises `Refusal` 400, 408, 413 and 415, `ClientGone` where it breaks off."""
    headers = Headers(scope=scope)
    _check_framing(headers)
    limit = settings.max_body_bytes
    too_large = Refusal(
        413, f"the body is over {limit:,} bytes, the most that is taken", closes=True
    )
    if int(headers.get("content-length", 0)) > 2 * limit:
        raise too_large
    chunks: list[bytes] = []
    n_bytes = 0
    try:
        with anyio.fail_after(settings.body_timeout_s):
            async for chunk in Request(scope, receive).stream():
                n_bytes += len(chunk)
                if n_bytes <= limit:
                    chunks.append(chunk)
                elif n_bytes > 2 * limit:  # up to here it is read, so that its sender hears of it
                    break
    except TimeoutError:
        raise Refusal(
            408, f"the body did not come within {settings.body_timeout_s:g} s", closes=True
        ) from None
    except ClientDisconnect:
        raise ClientGone("the client left before its request was whole") from None
    if n_bytes > limit:
        raise too_large
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_framing(headers: Headers) -> None:
    """One way to tell where the body ends, and no packing."""
    lengths = headers.getlist("content-length")
    if len(lengths) > 1 or (lengths and "transfer-encoding" in headers):
        raise Refusal(400, "the request says in two ways how long its body is", closes=True)
    if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
        raise Refusal(400, "content-length: must be a number", closes=True)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(
            415, "content-encoding: only bodies that are not packed are read", closes=True
        )


async def while_connected(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work; when the client leaves, it is cancelled and `ClientGone` raised."""
    failure: Exception | None = None
    done = False

    async def watch(scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        try:
            await work()
            done = True
        except Exception as error:  # noqa: BLE001  raised again below, outside the group
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not done:
        raise ClientGone("the client left before its answer was whole")
