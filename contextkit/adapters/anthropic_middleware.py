"""Managed context as a middleware of the Anthropic client itself.

    client = Anthropic(middleware=[ContextMiddleware(contextkit.load("agent.yaml"))])
    client.messages.create(model=…, max_tokens=…, system=…, messages=history)   # as before

For code that makes its own client and hands it on; `adapters.anthropic.wrap` does the same to a client
that is there already. The SDK runs a middleware once per attempt: each assembles from the user's own
request, nothing is recorded before an answer came, so a retried request is sent and kept once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from contextkit import bridge
from contextkit.adapters._conversations import Begun, Conversations
from contextkit.adapters._extras import needed
from contextkit.adapters._streams import AsyncRecordedStream, RecordedStream
from contextkit.adapters.anthropic import MESSAGES
from contextkit.dialects.streams import Collector
from contextkit.errors import ConfigError
from contextkit.overflow import Overflow, find_overflow
from contextkit.replies import collected_reply, plain

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.manager import ContextManager

Middleware: Any = getattr(needed("anthropic", "anthropic"), "Middleware", None)
if Middleware is None:
    raise ConfigError(
        "adapters.anthropic_middleware: this version of anthropic has no client middleware; 2.12 has, "
        "and adapters.anthropic.wrap works with every version"
    )
_PATH = "/v1/messages"
_RAW = "x-stainless-raw-response"


class ContextMiddleware(Middleware):  # type: ignore[misc]
    """Makes every `messages` request of an `Anthropic` or `AsyncAnthropic` client fit the budget.

    Without `thread` the conversation is recognised by its messages. Token counting, batches and streams
    asked for as raw responses pass untouched. Raises `BudgetExceeded` and `InvalidMessage` beside what
    the SDK raises.
    """

    def __init__(
        self, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
    ) -> None:
        self._conversations = Conversations(manager, thread, tenant)

    def handle(self, request: Any, call_next: Any) -> Any:
        """One attempt of a synchronous client."""
        if not _is_managed(request):
            return call_next(request)
        begun, sent = self._begin(request)
        response = call_next(sent)
        if response.status_code in (400, 413):
            response.http_response.read()
            if overflow := find_overflow(response.http_response.text):
                begun, sent = self._smaller(request, begun, overflow)
                response = call_next(sent)
        if not response.http_response.is_success:
            return response
        if not request.stream:
            self._conversations.finish(begun, partial(_reply, response.parse()))
            return response

        def record(collector: Collector) -> None:
            self._conversations.finish(begun, partial(collected_reply, collector))

        return RecordedStream(response.parse(), MESSAGES.collector(), MESSAGES.pick, record)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """One attempt of an asynchronous client."""
        if not _is_managed(request):
            return await call_next(request)
        begun, sent = await bridge.call(self._begin, request)
        response = await call_next(sent)
        if response.status_code in (400, 413):
            await response.http_response.aread()
            if overflow := find_overflow(response.http_response.text):
                begun, sent = await bridge.call(self._smaller, request, begun, overflow)
                response = await call_next(sent)
        if not response.http_response.is_success:
            return response
        answer = await response.parse()
        if not request.stream:
            await bridge.call(self._conversations.finish, begun, partial(_reply, answer))
            return response

        async def record(collector: Collector) -> None:
            read = partial(collected_reply, collector)
            await bridge.call(self._conversations.finish, begun, read)

        return AsyncRecordedStream(answer, MESSAGES.collector(), MESSAGES.pick, record)

    def _begin(self, request: Any) -> tuple[Begun, Any]:
        said = MESSAGES.read(request.json)
        assert said is not None, "a managed request has messages"
        begun = self._conversations.begin(*said)
        return begun, _written(request, begun)

    def _smaller(self, request: Any, begun: Begun, overflow: Overflow) -> tuple[Begun, Any]:
        """The request once more, under the provider's own count."""
        begun = self._conversations.again(begun, overflow)
        return begun, _written(request, begun)


def _is_managed(request: Any) -> bool:
    path = request.url.partition("?")[0]
    if request.method.lower() != "post" or path != _PATH or not request.json.get("messages"):
        return False
    return not (request.stream and any(name.lower() == _RAW for name in request.headers))


def _written(request: Any, begun: Begun) -> Any:
    return request.copy(body=MESSAGES.write(request.json, begun.call))


def _reply(answer: Any) -> Reply:
    return MESSAGES.reply(plain(answer))
