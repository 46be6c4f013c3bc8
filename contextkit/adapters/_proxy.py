"""SDK clients stood in for: the methods that ask a model go through a conversation, all else through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._conversations import Begun, Conversations
from contextkit.adapters._streams import AsyncRecordedStream, Pick, RecordedStream
from contextkit.overflow import overflow_of
from contextkit.replies import collected_reply, plain

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.dialects.streams import Collector
    from contextkit.messages import Message
    from contextkit.tools import Tool

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """How one endpoint writes a conversation, in the keyword arguments of its SDK method."""

    read: Callable[[Request], tuple[list[Message], list[Tool]] | None]
    """The full history and the tools of a request; None for one that is to pass untouched."""
    write: Callable[[Request, Call], Request]
    """The request with the call's messages and tools in place of the user's."""
    reply: Callable[[Any], Reply]
    collector: Callable[[], Collector]
    pick: Pick


class Proxy:
    """Looks and works like `inner`, apart from the attributes in `replaced`."""

    def __init__(self, inner: Any, replaced: Mapping[str, Any]) -> None:
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        replaced = self.__dict__["_replaced"]
        return replaced[name] if name in replaced else getattr(self.__dict__["_inner"], name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return cast("type[Any]", type(self._inner))  # frameworks check what client they were given

    def __repr__(self) -> str:
        return f"contextkit.wrap({self._inner!r})"

    def __enter__(self) -> Proxy:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> Any:
        return self._inner.__exit__(*exc)

    async def __aenter__(self) -> Proxy:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> Any:
        return await self._inner.__aexit__(*exc)


def is_async(client: Any) -> bool:
    """Whether this is one of the SDK's asynchronous clients."""
    return any(cls.__name__.startswith("Async") for cls in client.__class__.__mro__)


def endpoint(resource: Any, conversations: Conversations, wire: Wire, asynchronous: bool) -> Proxy:
    """The resource with its `create`, `parse` and `stream` going through the conversations."""
    asking, streaming = (_aask, _AsyncManager) if asynchronous else (_ask, _Manager)
    replaced: dict[str, Any] = {}
    for name in ("create", "parse"):
        if method := getattr(resource, name, None):
            replaced[name] = asking(method, conversations, wire)
    if method := getattr(resource, "stream", None):
        replaced["stream"] = _opener(streaming, method, conversations, wire)
    return Proxy(resource, replaced)


def function(method: Any, conversations: Conversations, wire: Wire, asynchronous: bool) -> Any:
    """A function that asks a model, going through the conversations; takes keyword arguments."""
    return (_aask if asynchronous else _ask)(method, conversations, wire)


def _begin(
    conversations: Conversations, wire: Wire, request: Request
) -> tuple[Begun | None, Request]:
    read = wire.read(request)
    if read is None:
        return None, request
    begun = conversations.begin(*read)
    return begun, wire.write(request, begun.call)


def _smaller(
    conversations: Conversations, wire: Wire, request: Request, begun: Begun, error: Exception
) -> tuple[Begun, Request]:
    """The request once more, under the provider's own count; any other error is raised again."""
    overflow = overflow_of(error)
    if overflow is None:
        raise error
    begun = conversations.again(begun, overflow)
    return begun, wire.write(request, begun.call)


def _read(wire: Wire, answer: Any) -> Reply:
    return wire.reply(plain(answer))


def _ask(method: Any, conversations: Conversations, wire: Wire) -> Any:
    def ask(**request: Any) -> Any:
        begun, sent = _begin(conversations, wire, request)
        if begun is None:
            return method(**sent)
        try:
            answer = method(**sent)
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            begun, sent = _smaller(conversations, wire, request, begun, error)
            answer = method(**sent)
        if request.get("stream") is True:
            return _recorded(answer, conversations, wire, begun)
        conversations.finish(begun, partial(_read, wire, answer))
        return answer

    return ask


def _aask(method: Any, conversations: Conversations, wire: Wire) -> Any:
    async def ask(**request: Any) -> Any:
        begun, sent = await bridge.call(_begin, conversations, wire, request)
        if begun is None:
            return await method(**sent)
        try:
            answer = await method(**sent)
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            smaller = await bridge.call(_smaller, conversations, wire, request, begun, error)
            begun, sent = smaller[0], smaller[1]
            answer = await method(**sent)
        if request.get("stream") is True:
            return _arecorded(answer, conversations, wire, begun)
        await bridge.call(conversations.finish, begun, partial(_read, wire, answer))
        return answer

    return ask


def _recorded(
    stream: Any, conversations: Conversations, wire: Wire, begun: Begun
) -> RecordedStream:
    def record(collector: Collector) -> None:
        conversations.finish(begun, partial(collected_reply, collector))

    return RecordedStream(stream, wire.collector(), wire.pick, record)


def _arecorded(
    stream: Any, conversations: Conversations, wire: Wire, begun: Begun
) -> AsyncRecordedStream:
    async def record(collector: Collector) -> None:
        await bridge.call(conversations.finish, begun, partial(collected_reply, collector))

    return AsyncRecordedStream(stream, wire.collector(), wire.pick, record)


def _opener(manager: Any, method: Any, conversations: Conversations, wire: Wire) -> Any:
    def stream(**request: Any) -> Any:
        return manager(method, conversations, wire, request)

    return stream


class _Manager:
    """`with client.….stream(…) as stream`."""

    def __init__(
        self, method: Any, conversations: Conversations, wire: Wire, request: Request
    ) -> None:
        self._method = method
        self._conversations = conversations
        self._wire = wire
        self._request = request
        self._manager: Any = None
        self._stream: Any = None

    def __enter__(self) -> Any:
        begun, sent = _begin(self._conversations, self._wire, self._request)
        self._manager = self._method(**sent)
        stream = self._manager.__enter__()
        if begun is None:
            return stream
        self._stream = _recorded(stream, self._conversations, self._wire, begun)
        return self._stream

    def __exit__(self, *exc: object) -> None:
        self._manager.__exit__(*exc)
        if self._stream is not None:
            self._stream.end()


class _AsyncManager(_Manager):
    """`async with client.….stream(…) as stream`."""

    async def __aenter__(self) -> Any:
        begun, sent = await bridge.call(_begin, self._conversations, self._wire, self._request)
        self._manager = self._method(**sent)
        stream = await self._manager.__aenter__()
        if begun is None:
            return stream
        self._stream = _arecorded(stream, self._conversations, self._wire, begun)
        return self._stream

    async def __aexit__(self, *exc: object) -> None:
        await self._manager.__aexit__(*exc)
        if self._stream is not None:
            await self._stream.end()
