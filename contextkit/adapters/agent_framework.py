"""Microsoft Agent Framework: a chat middleware, a compaction strategy and a history provider.

    manager = contextkit.load("agent.yaml")
    agent = Agent(client, "Be brief.", tools=[…], middleware=[ContextMiddleware(manager)],
                  context_providers=[ContextHistory(manager)])

The middleware makes every model call fit the budget and records it with its usage; messages that stay go
on as the framework's own objects. The history provider keeps what was said, uncut, in contextkit's store.
`ContextCompaction` is for those who want only the framework's own compaction decided by policies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._agent_framework_compaction import ContextCompaction
from contextkit.adapters._agent_framework_forms import (
    AUTHOR,
    INSTRUCTIONS,
    message_of,
    messages_of,
    reply_of,
    units_of,
)
from contextkit.adapters._framework import Assembled, Bridge, Unit, missing
from contextkit.adapters._shared import check_manager
from contextkit.tools import Tool

try:
    from agent_framework import ChatContext, ChatMiddleware, HistoryProvider, Message
except ImportError as error:
    raise missing("agent_framework", "agent-framework", error) from error

if TYPE_CHECKING:
    from contextkit.manager import ContextManager

__all__ = ["ContextCompaction", "ContextHistory", "ContextMiddleware"]


class ContextMiddleware(ChatMiddleware):
    """Assembles and records every call of a chat client, streamed or not.

    Calls of an agent's session are the thread `SESSION/calls`; without a session and without `thread` the
    messages name it. Calls whose history the service keeps (`conversation_id`) pass untouched. Raises
    `BudgetExceeded` and `InvalidMessage`; nothing is recorded after an error.
    """

    def __init__(
        self, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
    ) -> None:
        self._thread = thread
        self._bridge = Bridge(manager, tenant=tenant)

    async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
        """One model call: its messages made to fit before, its answer recorded after."""
        options: Mapping[str, Any] = context.options or {}
        if options.get("conversation_id"):
            await call_next()
            return
        instructions = options.get("instructions")
        units = units_of(instructions, context.messages)
        session = context.session
        thread = f"{session.session_id}/calls" if session and not self._thread else self._thread
        tools = _tools(options.get("tools") or ())
        assembled = await self._bridge.abegin(units, tools, thread=thread)
        _show(context, assembled)
        if context.stream:
            context.stream_result_hooks.append(lambda response: self._record(assembled, response))
            await call_next()
            return
        try:
            await call_next()
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = await self._bridge.asmaller(assembled, error)
            _show(context, assembled)
            await call_next()
        await self._record(assembled, context.result)

    async def _record(self, assembled: Assembled[Any], response: Any) -> None:
        await self._bridge.afinish(assembled, lambda: reply_of(response))


class ContextHistory(HistoryProvider):
    """An agent's history as a thread named like its session; messages come back as they were given."""

    def __init__(
        self,
        manager: ContextManager,
        *,
        tenant: str = "default",
        source_id: str = "contextkit",
        **options: Any,
    ) -> None:
        super().__init__(source_id, **options)
        check_manager(manager)
        self._manager = manager
        self._tenant = tenant

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """All messages of the session, oldest first."""
        if session_id is None:
            return []
        thread = await bridge.call(self._manager.thread, session_id, tenant=self._tenant)
        said = await bridge.call(thread.history)
        return [message_of(message) for message in said]

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store the messages, all or none."""
        if session_id is None:
            return
        thread = await bridge.call(self._manager.thread, session_id, tenant=self._tenant)
        await bridge.call(thread.append, [messages_of([message]) for message in messages])


def _show(context: ChatContext, assembled: Assembled[Any]) -> None:
    """Put what the call shows in place of the context's messages."""
    shown = assembled.show(lambda message: [message_of(message)])
    if context.options and context.options.get("instructions"):
        kept = any(item is INSTRUCTIONS for item in shown)
        context.options = {**context.options} if kept else _without(context.options)
    context.messages = [item for item in _as_said(assembled, shown) if item is not INSTRUCTIONS]


def _as_said(assembled: Assembled[Any], shown: Sequence[Any]) -> list[Any]:
    """The shown messages, without authors that were filled in after the provider had read them.

    An agent's replies get its name once the run is over; sent on, it would change the cached prefix.
    """
    units = {id(item): unit for unit in assembled.units for item in unit.items}
    messages = iter(assembled.call.messages)
    out: list[Any] = []
    last: Unit[Any] | None = None
    named = False
    for item in shown:
        unit = units.get(id(item))
        if unit is None or unit is not last:
            last, named = unit, bool(next(messages).extra.get(AUTHOR))
        if unit and not named and item is not INSTRUCTIONS and item.role == "assistant":
            item = copy(item)
            item.author_name = None
        out.append(item)
    return out


def _without(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "instructions"}


def _tools(tools: Any) -> list[Tool]:
    """Functions the model is told of; a service's own tools are the service's to count."""
    listed = cast("Sequence[Any]", tools if isinstance(tools, Sequence) else [tools])
    return [
        Tool(tool.name, tool.description or "", tool.parameters())
        for tool in listed
        if callable(getattr(tool, "parameters", None))
    ]
