"""AutoGen: a model client whose calls fit the budget, and a model context that lives in contextkit's store.

    client = ContextClient(OpenAIChatCompletionClient(model=…), manager, thread="support/42/calls")
    agent = AssistantAgent("clerk", client, model_context=ContextHistory(manager, "support/42"))

The client stands before any other and sees what only it is told: system messages, tools, usage. The
model context keeps all messages, uncut. `ChatCompletionContext` alone could not keep a budget: it is
asked for messages without being told the tools or the instructions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._autogen_forms import answer_of, message_of, messages_of
from contextkit.adapters._extras import needed
from contextkit.adapters._forks import Forks
from contextkit.adapters._framework import Assembled, Bridge, units_of
from contextkit.backend import Reply
from contextkit.messages import Message
from contextkit.tools import Tool
from contextkit.usage import Usage

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.thread import Thread

models: Any = needed("autogen_core.models", "autogen")
contexts: Any = needed("autogen_core.model_context", "autogen")


class ContextClient(models.ChatCompletionClient):  # type: ignore[misc]
    """Stands before `client`: every `create` and `create_stream` is assembled and recorded.

    `thread` holds the calls, not the history: name it `NAME/calls` beside a `ContextHistory` `NAME`, whose
    `inspect` then says where they are. Without it a conversation is recognised by its messages. Raises
    `BudgetExceeded` and `InvalidMessage` beside what the client raises; nothing is recorded after an error.
    """

    def __init__(
        self,
        client: Any,
        manager: ContextManager,
        *,
        thread: str | None = None,
        tenant: str = "default",
    ) -> None:
        self._client = client
        self._bridge = Bridge(manager, thread=thread, tenant=tenant)

    async def create(
        self, messages: Sequence[Any], *, tools: Sequence[Any] = (), **more: Any
    ) -> Any:
        """One answer of the client to what fits."""
        assembled = await self._begin(messages, tools)
        try:
            result = await self._client.create(assembled.show(messages_of), tools=tools, **more)
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = await self._bridge.asmaller(assembled, error)
            result = await self._client.create(assembled.show(messages_of), tools=tools, **more)
        await self._bridge.afinish(assembled, lambda: _reply(result))
        return result

    async def create_stream(
        self, messages: Sequence[Any], *, tools: Sequence[Any] = (), **more: Any
    ) -> AsyncGenerator[Any, None]:
        """The client's chunks as they come; recorded before the last, the whole result, is handed on.

        Many servers tell a stream's usage only where the client asks for it (`stream_options`).
        """
        assembled = await self._begin(messages, tools)
        sent = assembled.show(messages_of)
        async for chunk in self._client.create_stream(sent, tools=tools, **more):
            if not isinstance(chunk, str):
                await self._bridge.afinish(assembled, partial(_reply, chunk))
            yield chunk

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    def actual_usage(self) -> Any:
        """The client's own account."""
        return self._client.actual_usage()

    def total_usage(self) -> Any:
        """The client's own account."""
        return self._client.total_usage()

    def count_tokens(self, messages: Sequence[Any], *, tools: Sequence[Any] = ()) -> int:
        """The client's own count."""
        return int(self._client.count_tokens(messages, tools=tools))

    def remaining_tokens(self, messages: Sequence[Any], *, tools: Sequence[Any] = ()) -> int:
        """The client's own count."""
        return int(self._client.remaining_tokens(messages, tools=tools))

    @property
    def capabilities(self) -> Any:
        return self._client.capabilities

    @property
    def model_info(self) -> Any:
        return self._client.model_info

    async def _begin(self, messages: Sequence[Any], tools: Sequence[Any]) -> Assembled[Any]:
        units = units_of(messages, lambda message: [message_of(message)])
        return await self._bridge.abegin(units, [_tool(tool) for tool in tools])


class ContextHistory(contexts.ChatCompletionContext):  # type: ignore[misc]
    """An agent's messages as the thread `thread`, whole; they are there again in the next process.

    A context that is cleared or loaded from a state goes on in a fork of it.
    """

    def __init__(self, manager: ContextManager, thread: str, *, tenant: str = "default") -> None:
        base: Any = super()
        base.__init__()
        self._forks = Forks(manager, thread, tenant)

    @property
    def thread(self) -> Thread:
        """The thread that holds the messages now."""
        return self._forks.thread

    async def add_message(self, message: Any) -> None:
        """Store a message. Raises `InvalidMessage` for one that cannot follow."""
        await bridge.call(self.thread.append, message_of(message))

    async def get_messages(self) -> list[Any]:
        """All messages, oldest first."""
        said = await bridge.call(self.thread.history)
        return [theirs for message in said for theirs in messages_of(message)]

    async def clear(self) -> None:
        """Begin anew under the same name."""
        await bridge.call(self._forks.go_on_from, 0)

    async def save_state(self) -> Mapping[str, Any]:
        """All messages in AutoGen's own form."""
        state = contexts.ChatCompletionContextState(messages=await self.get_messages())
        return dict(state.model_dump())

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Begin anew with the messages of a state."""
        said = contexts.ChatCompletionContextState.model_validate(state).messages
        await self.clear()
        await bridge.call(self.thread.append, [message_of(message) for message in said])


def _tool(tool: Any) -> Tool:
    schema = cast("Mapping[str, Any]", tool if isinstance(tool, Mapping) else tool.schema)
    parameters = json.loads(json.dumps(schema.get("parameters") or {}))
    return Tool(schema["name"], schema.get("description") or "", parameters)


def _reply(result: Any) -> Reply:
    told = result.usage
    used = Usage(told.prompt_tokens, told.completion_tokens) if told.prompt_tokens else None
    message = Message("assistant", answer_of(result.content, result.thought))
    return Reply(message, used, result.finish_reason)
