"""OpenAI Agents SDK: every model call of a run fits the budget, and sessions live in contextkit's store.

    session = ContextSession(contextkit.load("agent.yaml"), "support/42")
    context = ContextHooks(session.manager, session=session)
    await Runner.run(agent, "Which gate?", session=session, hooks=context, run_config=context.config())

The hooks object is both: the SDK's `call_model_input_filter`, which shows the model what fits, and the run
hook that records the answer with its usage. The session keeps all items, uncut. Given to the hooks, it is
the same thread: items and ledgers stand in one place. The agent's own model answers, by Chat
Completions or Responses; handoffs, guardrails and structured output stay as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._agents_items import units_of_items
from contextkit.adapters._framework import Assembled, Bridge, Unit, missing
from contextkit.backend import Reply
from contextkit.dialects import responses
from contextkit.errors import ConfigError
from contextkit.messages import Message, text_message
from contextkit.replies import plain, responses_message
from contextkit.tools import Tool
from contextkit.usage import Usage

try:
    from agents import FunctionTool, Handoff, RunConfig, RunContextWrapper, RunHooks, handoff
    from agents.run_config import CallModelData, ModelInputData
except ImportError as error:
    raise missing("openai_agents", "openai-agents", error) from error

from contextkit.adapters._agents_session import ContextSession

if TYPE_CHECKING:
    from agents import Agent, ModelResponse

    from contextkit.manager import ContextManager

__all__ = ["ContextHooks", "ContextSession"]

_INSTRUCTIONS: Any = object()
"""Stands for the agent's instructions among the items."""

_UNDER_WAY: ContextVar[tuple[ContextHooks, Assembled[Any]] | None] = ContextVar(
    "contextkit_openai_agents", default=None
)
"""The model call that this task is making: the SDK asks the hook in the task of its filter, or a child."""


class ContextHooks(RunHooks[Any]):
    """Filter and hooks of a run; one object may serve many runs at once.

    The calls belong to the thread of `session`, or to `thread`; without either a conversation is recognised
    by its messages. The SDK offers its filter no tools, so
    the agent is asked for them once more: servers of MCP tools should cache their list. Raises
    `BudgetExceeded` and `InvalidMessage` out of the run; nothing is recorded after an error.
    """

    def __init__(
        self,
        manager: ContextManager,
        *,
        session: ContextSession | None = None,
        thread: str | None = None,
        tenant: str = "default",
    ) -> None:
        if session is not None and thread is not None:
            raise ConfigError("ContextHooks: session= names the thread already; leave thread= out")
        if session is not None and session.manager is not manager:
            raise ConfigError("ContextHooks: the session has another ContextManager; share one")
        self.manager = manager
        self._session = session
        whose = tenant if session is None else session.tenant
        self._bridge = Bridge(manager, thread=thread, tenant=whose)
        if session is not None:
            session.share()

    def config(self, run_config: RunConfig | None = None) -> RunConfig:
        """The run's configuration (a new one without any) with this filter in it."""
        return replace(run_config or RunConfig(), call_model_input_filter=self.filter)

    async def filter(self, data: CallModelData[Any]) -> ModelInputData:
        """The input of the next model call: what fits of what the SDK would send."""
        units = _units(data.model_data.instructions, data.model_data.input)
        tools = await _tools(data.agent, data.context)
        thread = None if self._session is None else (await bridge.call(self._session.current)).name
        assembled = await self._bridge.abegin(units, tools, thread=thread)
        _UNDER_WAY.set((self, assembled))
        shown = assembled.show(_items)
        kept = any(item is _INSTRUCTIONS for item in shown)
        return ModelInputData(
            input=[item for item in shown if item is not _INSTRUCTIONS],
            instructions=data.model_data.instructions if kept else None,
        )

    async def on_llm_end(
        self, context: RunContextWrapper[Any], agent: Agent[Any], response: ModelResponse
    ) -> None:
        """Record what was asked and answered."""
        under_way = _UNDER_WAY.get()
        if under_way is not None and under_way[0] is self:
            await self._bridge.afinish(under_way[1], lambda: _reply(response))


def _units(instructions: str | None, items: Sequence[Any]) -> list[Unit[Any]]:
    """The instructions and the items, those of one reply together."""
    head: list[Unit[Any]] = []
    if instructions:
        head.append(Unit((_INSTRUCTIONS,), (text_message("system", instructions),)))
    return head + units_of_items(items)


def _items(message: Message) -> list[Any]:
    return cast("list[Any]", responses.request([message])["input"])


async def _tools(agent: Agent[Any], context: Any) -> list[Tool]:
    """The functions the model is told of, handoffs included; hosted tools are the provider's to count."""
    found = await agent.get_all_tools(RunContextWrapper(context))
    tools = [
        Tool(tool.name, tool.description, tool.params_json_schema)
        for tool in found
        if isinstance(tool, FunctionTool)
    ]
    for each in agent.handoffs:
        to: Handoff[Any, Any] = each if isinstance(each, Handoff) else handoff(each)
        if await _is_enabled(to, agent, context):
            tools.append(Tool(to.tool_name, to.tool_description, to.input_json_schema))
    return tools


async def _is_enabled(to: Handoff[Any, Any], agent: Agent[Any], context: Any) -> bool:
    if isinstance(to.is_enabled, bool):
        return to.is_enabled
    answer = to.is_enabled(RunContextWrapper(context), agent)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _reply(response: ModelResponse) -> Reply:
    used = response.usage
    message = responses_message([plain(item) for item in response.to_input_items()])
    if not used.requests:
        return Reply(message)
    usage = Usage(
        used.input_tokens,
        used.output_tokens,
        cache_read_tokens=used.input_tokens_details.cached_tokens,
        cache_write_tokens=getattr(used.input_tokens_details, "cache_write_tokens", 0),
        reasoning_tokens=used.output_tokens_details.reasoning_tokens,
    )
    return Reply(message, usage)
