"""A LangGraph node that asks a chat model with managed context.

    graph.add_node("model", ModelNode(model, contextkit.load("agent.yaml"), tools=tools))

The node reads the graph's `messages`, shows the model what fits, and returns the reply; the state, and
so every checkpoint, keeps all messages as they are. The thread goes by the `thread_id` of the config.
A run from an earlier checkpoint, or with messages edited, goes on in a fork of that thread, so replays
and branches never mix. Agents made by `create_agent` take `adapters.langchain.ContextMiddleware`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._framework import Assembled, Bridge, missing, units_of

try:
    from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
    from langchain_core.runnables import Runnable, RunnableConfig
except ImportError as error:
    raise missing("langgraph", "langgraph", error) from error

from contextkit.adapters import _langchain as forms

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from contextkit.manager import ContextManager


class ModelNode(Runnable[Any, dict[str, Any]]):
    """`{messages_key: [...]}` in, `{messages_key: [reply]}` out; sync and async.

    `model` is a chat model, not yet bound to tools; `tools` are bound here, `system` comes before the
    state's messages. `thread` names the conversation in place of the config's `thread_id`. Raises
    `BudgetExceeded` and `InvalidMessage`; after an error of the model nothing is recorded.
    """

    def __init__(
        self,
        model: BaseChatModel,
        manager: ContextManager,
        *,
        tools: Sequence[Any] = (),
        system: str | SystemMessage | None = None,
        messages_key: str = "messages",
        thread: str | None = None,
        tenant: str = "default",
    ) -> None:
        self._model: Any = cast("Any", model).bind_tools(tools) if tools else model
        self._bare_model = model
        self._tools = forms.parse_tools(list(tools))
        self._system = SystemMessage(system) if isinstance(system, str) else system
        self._key = messages_key
        self._bridge = Bridge(manager, thread=thread, tenant=tenant)

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Ask the model; once more, smaller, where the provider finds the request too long."""
        assembled = self._begin(input, config)
        try:
            reply: AIMessage = self._model.invoke(self._show(assembled), config, **kwargs)
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = self._bridge.smaller(assembled, error)
            reply = self._model.invoke(self._show(assembled), config, **kwargs)
        self._bridge.finish(assembled, partial(forms.reply_of, reply))
        return {self._key: [reply]}

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """`invoke` for asynchronous graphs; contextkit's part runs in worker threads."""
        assembled = await bridge.call(self._begin, input, config)
        try:
            reply: AIMessage = await self._model.ainvoke(self._show(assembled), config, **kwargs)
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = await self._bridge.asmaller(assembled, error)
            reply = await self._model.ainvoke(self._show(assembled), config, **kwargs)
        await self._bridge.afinish(assembled, partial(forms.reply_of, reply))
        return {self._key: [reply]}

    def _show(self, assembled: Assembled[BaseMessage]) -> list[BaseMessage]:
        said = [item for unit in assembled.units for item in unit.items]
        return assembled.show(forms.make, forms.marks_of(self._bare_model, said))

    def _begin(self, state: Any, config: RunnableConfig | None) -> Assembled[BaseMessage]:
        held: Any = (
            cast("Any", state)[self._key]
            if isinstance(state, Mapping)
            else getattr(state, self._key)
        )
        said: list[BaseMessage] = [*([self._system] if self._system else []), *held]
        named = (config or {}).get("configurable", {}).get("thread_id")
        thread = self._bridge.thread or (None if named is None else str(named))
        return self._bridge.begin(units_of(said, forms.parse), self._tools, thread=thread)
