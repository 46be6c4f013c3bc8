"""Google ADK: a plugin under which every model call of a runner fits the budget.

    runner = Runner(app=App(name="desk", root_agent=agent, plugins=[ContextPlugin(manager)]), …)

The session service keeps all events; each call is shown what fits of them, and is recorded with its
usage. A session's calls are the thread `APP/USER/SESSION/AGENT`. ADK gives plugins no second try, so a call
that the model still finds too long fails as it would without the plugin; what it counted is not learned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from contextkit.adapters._adk_forms import Reader, content_of, text_in
from contextkit.adapters._extras import needed
from contextkit.adapters._framework import Assembled, Bridge, Unit
from contextkit.backend import Reply
from contextkit.messages import text_message
from contextkit.tools import Tool
from contextkit.usage import Usage

if TYPE_CHECKING:
    from contextkit.call import CachePoint
    from contextkit.manager import ContextManager

caching: Any = needed("google.adk.agents.context_cache_config", "google-adk")
plugins: Any = needed("google.adk.plugins.base_plugin", "google-adk")

WAITING = 1024
"""Calls under way whose answers may still come; what was given up is pushed out by newer ones."""

_SYSTEM: Any = object()
"""Stands for the system instruction among the contents."""

_Key = tuple[str, str, str]


class ContextPlugin(plugins.BasePlugin):  # type: ignore[misc]
    """Assembles and records every model call of the agents of a runner, streamed or not.

    Live (bidirectional) connections and calls of the interactions API, whose history is kept elsewhere,
    pass untouched. What does not fit is raised out of the run, by ADK as its own `RuntimeError` with the
    words of `BudgetExceeded`; nothing is recorded after an error.
    """

    def __init__(
        self, manager: ContextManager, *, tenant: str = "default", name: str = "contextkit"
    ) -> None:
        base: Any = super()
        base.__init__(name=name)
        self._bridge = Bridge(manager, tenant=tenant)
        self._under_way: OrderedDict[_Key, tuple[Assembled[Any], Reader]] = OrderedDict()

    async def before_model_callback(self, *, callback_context: Any, llm_request: Any) -> None:
        """What fits, in place of the request's contents."""
        if llm_request.previous_interaction_id:
            return
        reader = Reader()
        units = _units(llm_request, reader)
        thread = "/".join(_names(callback_context))
        assembled = await self._bridge.abegin(units, _tools(llm_request.config), thread=thread)
        shown = assembled.show(lambda message: [content_of(message)])
        contents = [item for item in shown if item is not _SYSTEM]
        if len(contents) == len(shown):
            llm_request.config.system_instruction = None
        llm_request.contents = contents
        _ask_to_cache(llm_request, assembled.call.cache_points)
        self._under_way[_key(callback_context)] = assembled, reader
        while len(self._under_way) > WAITING:
            self._under_way.popitem(last=False)

    async def after_model_callback(self, *, callback_context: Any, llm_response: Any) -> None:
        """Record the answer once it is whole."""
        if llm_response.partial or llm_response.content is None or llm_response.error_code:
            return
        found = self._under_way.pop(_key(callback_context), None)
        if found is not None:
            assembled, reader = found
            await self._bridge.afinish(assembled, lambda: _reply(reader, llm_response))

    async def on_model_error_callback(
        self, *, callback_context: Any, llm_request: Any, error: Exception
    ) -> None:
        """Forget the call that failed."""
        self._under_way.pop(_key(callback_context), None)


def _names(context: Any) -> tuple[str, ...]:
    session = context.session
    return session.app_name, session.user_id, session.id, context.agent_name


def _key(context: Any) -> _Key:
    return context.session.id, context.invocation_id, context.agent_name


def _units(request: Any, reader: Reader) -> list[Unit[Any]]:
    units: list[Unit[Any]] = []
    if text := text_in(request.config.system_instruction):
        units.append(Unit((_SYSTEM,), (text_message("system", text),)))
    return units + [Unit((content,), (reader.message(content),)) for content in request.contents]


def _ask_to_cache(request: Any, points: Sequence[CachePoint]) -> None:
    """ADK has no form for a single cache point: it marks Claude's tools, system and newest message itself.

    Gemini caches long prompts by itself; to ask for it would make a cache that is billed by the hour.
    """
    if points and request.cache_config is None and "claude" in (request.model or "").lower():
        long = any(point.ttl == "1h" for point in points)
        request.cache_config = caching.ContextCacheConfig(ttl_seconds=3600 if long else 300)


def _tools(config: Any) -> list[Tool]:
    """The functions the model is told of; the model's own tools are its provider's to count."""
    found: list[Tool] = []
    for tool in config.tools or ():
        for function in getattr(tool, "function_declarations", None) or ():
            parameters = function.parameters_json_schema
            if parameters is None and function.parameters is not None:
                parameters = function.parameters.model_dump(mode="json", exclude_none=True)
            found.append(Tool(function.name, function.description or "", parameters or {}))
    return found


def _reply(reader: Reader, response: Any) -> Reply:
    message = reader.message(response.content)
    reason = getattr(response.finish_reason, "value", None)
    used = response.usage_metadata
    if used is None or not used.prompt_token_count:
        return Reply(message, None, reason)
    thoughts = used.thoughts_token_count or 0
    usage = Usage(
        used.prompt_token_count + (used.tool_use_prompt_token_count or 0),
        _output(used, thoughts),
        cache_read_tokens=used.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
    )
    return Reply(message, usage, reason)


def _output(used: Any, thoughts: int) -> int:
    """Gemini counts thoughts beside the candidates; other providers within them, as the total shows."""
    told: Sequence[int] = (used.candidates_token_count or 0, thoughts)
    beside = used.prompt_token_count + sum(told) == (used.total_token_count or 0)
    return sum(told) if beside else told[0]
