"""Strands Agents: a conversation manager under which every model call fits the budget.

    agent = Agent(model, tools=[…], conversation_manager=ContextConversationManager(manager))

The agent keeps all its messages; each call is shown what fits, and is recorded with its usage. Where the
model finds a call too long, it is made smaller once. Needs Strands with model middleware (1.60 or later).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from contextkit.adapters._extras import needed
from contextkit.adapters._framework import Assembled, Bridge, Unit, units_of
from contextkit.adapters._strands_forms import message_of, theirs_of
from contextkit.backend import Reply
from contextkit.messages import text_message
from contextkit.tools import Tool
from contextkit.usage import Usage

if TYPE_CHECKING:
    from contextkit.call import CachePoint
    from contextkit.manager import ContextManager

hooks: Any = needed("strands.hooks", "strands")
stages: Any = needed("strands.middleware", "strands")
managers: Any = needed("strands.agent.conversation_manager", "strands")

POINT = "cachePoint"
_SYSTEM: Any = object()
"""Stands for the system prompt among the messages."""


@dataclass(frozen=True)
class _MarkedSystem:
    """The system prompt with a cache point behind it."""

    block: dict[str, Any]


class ContextConversationManager(managers.NullConversationManager):  # type: ignore[misc]
    """Changes no message of the agent; assembles and records every call of its model.

    Without `thread` the conversation is recognised by its messages. Raises `BudgetExceeded` and
    `InvalidMessage` beside what the model raises; nothing is recorded after an error.
    """

    def __init__(
        self, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
    ) -> None:
        base: Any = super()
        base.__init__()
        self._bridge = Bridge(manager, thread=thread, tenant=tenant)

    def register_hooks(self, registry: Any, **kwargs: Any) -> None:
        """Stand before the model of the agent that this manager is given to."""
        base: Any = super()
        base.register_hooks(registry, **kwargs)
        registry.add_callback(hooks.AgentInitializedEvent, self._attach)

    async def around_model(self, context: Any, next_call: Any) -> AsyncGenerator[Any, None]:
        """The middleware of one model call; events go on as they come."""
        tools = [_tool(spec) for spec in context.tool_specs]
        assembled = await self._bridge.abegin(_units(context), tools)
        started = False
        try:
            async for event in next_call(_shown(context, assembled)):
                started = started or "contentBlockDelta" in str(event)
                yield await self._seen(assembled, event)
            return
        except Exception as error:
            if started:
                raise
            assembled = await self._bridge.asmaller(assembled, error)
        async for event in next_call(_shown(context, assembled)):
            yield await self._seen(assembled, event)

    async def _seen(self, assembled: Assembled[Any], event: Any) -> Any:
        if "stop" in event:
            stop = event["stop"]
            await self._bridge.afinish(assembled, lambda: _reply(stop))
        return event

    def _attach(self, event: Any) -> None:
        event.agent.add_middleware(stages.InvokeModelStage, self.around_model)


def _units(context: Any) -> list[Unit[Any]]:
    system: Any = context.system_prompt
    head: list[Unit[Any]] = []
    if system:
        blocks = [{"text": system}] if isinstance(system, str) else cast("list[Any]", system)
        text = "\n".join(block["text"] for block in blocks if "text" in block)
        head.append(Unit((_SYSTEM,), (text_message("system", text),)))
    return head + units_of(context.messages, lambda message: [message_of(message)])


def _shown(context: Any, assembled: Assembled[Any]) -> Any:
    marks = _mark if _takes_points(context) else None
    shown = assembled.show(lambda message: [theirs_of(message)], marks)
    messages = [item for item in shown if item is not _SYSTEM and not _is_marked_system(item)]
    if context.system_prompt and len(messages) == len(shown):
        return context.replace(messages=messages, system_prompt=None)
    for item in filter(_is_marked_system, shown):
        system: Any = context.system_prompt
        blocks = [{"text": system}] if isinstance(system, str) else list(system)
        return context.replace(messages=messages, system_prompt=[*blocks, item.block])
    return context.replace(messages=messages)


def _is_marked_system(item: Any) -> bool:
    return isinstance(item, _MarkedSystem)


def _takes_points(context: Any) -> bool:
    """Whether the model hands cache points on to Claude, and nobody else puts any."""
    model = context.agent.model
    kinds = {cls.__name__ for cls in type(model).__mro__}
    settings: Mapping[str, Any] = model.get_config()
    is_claude = "claude" in str(settings.get("model_id", "")).lower()
    if not is_claude or not kinds & {"AnthropicModel", "BedrockModel"}:
        return False
    said: list[Any] = [block for message in context.messages for block in message["content"]]
    system: Any = context.system_prompt
    if system and not isinstance(system, str):
        said += system
    return not settings.get("cache_config") and not any(POINT in block for block in said)


def _mark(item: Any, point: CachePoint) -> list[Any] | None:
    """Converse's cache point behind the last block; the model puts it where its provider wants it."""
    block = {POINT: {"type": "default"} | ({"ttl": "1h"} if point.ttl == "1h" else {})}
    if item is _SYSTEM:
        return [_MarkedSystem(block)]
    content = item["content"]
    if not content or "reasoningContent" in content[-1] or content[-1].get("text") == "":
        return None
    return [{**item, "content": [*content, block]}]


def _tool(spec: Mapping[str, Any]) -> Tool:
    return Tool(spec["name"], spec.get("description") or "", spec["inputSchema"].get("json") or {})


def _reply(stop: Sequence[Any]) -> Reply:
    reason, message, used = stop[0], stop[1], stop[2]
    if not used.get("totalTokens"):
        return Reply(message_of(message), None, reason)
    output = used["outputTokens"]
    usage = Usage(
        max(used["inputTokens"], used["totalTokens"] - output),  # some models leave cached ones out
        output,
        cache_read_tokens=used.get("cacheReadInputTokens") or 0,
        cache_write_tokens=used.get("cacheWriteInputTokens") or 0,
    )
    return Reply(message_of(message), usage, reason)
