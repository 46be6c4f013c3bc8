"""LiteLLM calls with managed context: the two functions wrapped, or hooks for its router and proxy.

    completion = wrap(litellm.completion, manager)        # or litellm.acompletion, a router's acompletion
    litellm.callbacks.append(ContextLogger(manager))      # a Router, the proxy: every acompletion

Messages are in LiteLLM's OpenAI form, whatever provider answers. The hooks see asynchronous calls only,
because LiteLLM lets none change a synchronous one. LiteLLM's own retries of a bare `acompletion`
(`num_retries`) pass the hooks by: such a turn is recorded with the next request, without its usage.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit import bridge
from contextkit.adapters._conversations import Begun, Conversations
from contextkit.adapters._extras import needed
from contextkit.adapters._known import KnownThreads
from contextkit.adapters._litellm_points import pointed
from contextkit.adapters._proxy import function as managed_function
from contextkit.adapters._shared import check_manager
from contextkit.adapters.openai import CHAT
from contextkit.replies import chat_reply, plain

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.manager import ContextManager

CustomLogger: Any = needed("litellm.integrations.custom_logger", "litellm").CustomLogger
Function = TypeVar("Function", bound=Callable[..., Any])

WAITING = 4096
"""Requests under way whose answers may still come; what failed stays until newer ones push it out."""

_CALLS = ("completion", "acompletion")
_SPECIFIC = "provider_specific_fields"


def wrap(
    function: Function,
    manager: ContextManager,
    *,
    thread: str | None = None,
    tenant: str = "default",
) -> Function:
    """`litellm.completion` or `acompletion` whose calls fit the budget, streamed or not.

    Without `thread` the conversation is recognised by its messages. Raises `BudgetExceeded` and
    `InvalidMessage` beside what LiteLLM raises; after an error nothing is recorded.
    """
    asynchronous = inspect.iscoroutinefunction(function)
    conversations = Conversations(manager, thread, tenant)
    asking = managed_function(function, conversations, _WIRE, asynchronous)

    @wraps(function)
    def managed(*args: Any, **request: Any) -> Any:
        return asking(**dict(zip(("model", "messages"), args, strict=False)), **request)

    return cast("Function", managed)


class ContextLogger(CustomLogger):  # type: ignore[misc]
    """Hooks that make every asynchronous chat completion of this process fit the budget.

    A request's conversation is recognised by its messages. Users of LiteLLM's proxy are tenants of their
    own, by the hash of their key; all else belongs to `tenant`.
    """

    def __init__(self, manager: ContextManager, *, tenant: str = "default") -> None:
        base: Any = super()
        base.__init__()
        check_manager(manager)
        self._manager = manager
        self._tenant = tenant
        self._known = KnownThreads()
        """Of all tenants together, so that many users cannot fill the memory."""
        self._conversations: dict[str, Conversations] = {}
        self._begun: OrderedDict[str, tuple[Conversations, Begun, list[Any]]] = OrderedDict()

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any] | None:
        """The request with what fits in place of its history, once its deployment is chosen."""
        if getattr(call_type, "value", None) not in _CALLS:
            return None
        call = str(kwargs.get("litellm_call_id"))
        before = self._begun.get(call)
        if before is not None and kwargs.get("messages") is before[2]:
            return None  # made already: the same attempt again
        if (said := _WIRE.read(kwargs)) is None:
            return None
        conversations = self._of_tenant(kwargs)
        begun = await bridge.call(conversations.begin, *said)
        sent = _WIRE.write(kwargs, begun.call)
        self._begun[call] = conversations, begun, sent["messages"]
        while len(self._begun) > WAITING:
            self._begun.popitem(last=False)
        return sent

    async def async_post_call_success_deployment_hook(
        self, request_data: dict[str, Any], response: Any, call_type: Any
    ) -> None:
        """Record what was asked and answered, before the caller reads it."""
        await self._finish(request_data, response)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a stream, which LiteLLM has put together once it was read to its end."""
        whole = kwargs.get("async_complete_streaming_response") or response_obj
        await self._finish(kwargs, whole)

    async def _finish(self, request: Mapping[str, Any], response: Any) -> None:
        found = self._begun.pop(str(request.get("litellm_call_id")), None)
        if found is not None:
            conversations, begun, _ = found
            await bridge.call(conversations.finish, begun, partial(_read, response))

    def _of_tenant(self, request: Mapping[str, Any]) -> Conversations:
        told: Mapping[str, str] = request.get("metadata") or request.get("litellm_metadata") or {}
        tenant = told.get("user_api_key_hash") or self._tenant
        if tenant not in self._conversations:
            self._conversations[tenant] = Conversations(
                self._manager, None, tenant, known=self._known
            )
        return self._conversations[tenant]


def _read(response: Any) -> Reply:
    return _reply(plain(response))


def _reply(completion: Mapping[str, Any]) -> Reply:
    """Of a chat completion, without the fields that LiteLLM adds where a provider said nothing."""
    choice = completion["choices"][0]
    return chat_reply({**completion, "choices": [{**choice, "message": _said(choice["message"])}]})


def _said(message: Mapping[str, Any]) -> dict[str, Any]:
    specific: Mapping[str, Any] = message.get(_SPECIFIC) or {}
    if any(specific.values()):
        return dict(message)
    return {name: value for name, value in message.items() if name != _SPECIFIC}


def _write(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return pointed(CHAT.write(request, call), call)


_WIRE = replace(CHAT, write=_write, reply=_reply)
