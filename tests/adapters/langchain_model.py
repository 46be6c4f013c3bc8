"""A LangChain chat model that asks the local provider through the OpenAI SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from openai import AsyncOpenAI, OpenAI

from tests.adapters.managers import RESERVE
from tests.adapters.scenario import MODEL


class LocalChat(BaseChatModel):
    """Chat Completions at `base_url`, whole and streamed, with tools."""

    base_url: str

    @property
    def _llm_type(self) -> str:
        return "local"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        wire = [convert_to_openai_tool(tool) for tool in tools]
        chosen = {"tool_choice": "required"} if tool_choice == "any" else {}
        return self.bind(tools=wire, **chosen, **kwargs)

    def _request(self, messages: list[BaseMessage], **kwargs: Any) -> dict[str, Any]:
        kept = {k: v for k, v in kwargs.items() if k in ("tools", "tool_choice") and v}
        wire = [_as_sent(m) for m in convert_to_openai_messages(messages)]
        return {"model": MODEL, "messages": wire, "max_completion_tokens": RESERVE, **kept}

    def _generate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        with OpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            answer = client.chat.completions.create(**self._request(messages, **kwargs))
        return _result(answer)

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> ChatResult:
        async with AsyncOpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            answer = await client.chat.completions.create(**self._request(messages, **kwargs))
        return _result(answer)

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, **kwargs) | _STREAMED
        with OpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            for chunk in client.chat.completions.create(**request):
                yield _chunk(chunk)

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, **kwargs) | _STREAMED
        async with AsyncOpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            async for chunk in await client.chat.completions.create(**request):
                yield _chunk(chunk)


_STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def _as_sent(message: dict[str, Any]) -> dict[str, Any]:
    """As LangChain's package for OpenAI sends it: no name of a tool, null beside bare calls."""
    hidden = ("name",) if message["role"] == "tool" else ()
    sent = {k: v for k, v in message.items() if k not in hidden}
    return sent | {"content": sent["content"] or None} if "tool_calls" in sent else sent


def _usage(used: Any) -> UsageMetadata:
    details = used.prompt_tokens_details
    return UsageMetadata(
        input_tokens=used.prompt_tokens,
        output_tokens=used.completion_tokens,
        total_tokens=used.total_tokens,
        input_token_details={"cache_read": details.cached_tokens if details else 0},
    )


def _result(answer: Any) -> ChatResult:
    message = answer.choices[0].message
    calls: list[Any] = [
        {
            "id": call.id,
            "name": call.function.name,
            "args": json.loads(call.function.arguments),
            "type": "tool_call",
        }
        for call in message.tool_calls or ()
    ]
    said = AIMessage(message.content or "", tool_calls=calls, usage_metadata=_usage(answer.usage))
    return ChatResult(generations=[ChatGeneration(message=said)])


def _chunk(chunk: Any) -> ChatGenerationChunk:
    if chunk.usage is not None:
        said = AIMessageChunk(content="", usage_metadata=_usage(chunk.usage))
        return ChatGenerationChunk(message=said)
    delta = chunk.choices[0].delta
    calls: list[Any] = [
        {
            "index": call.index,
            "id": call.id,
            "name": call.function.name if call.function else None,
            "args": call.function.arguments if call.function else None,
            "type": "tool_call_chunk",
        }
        for call in delta.tool_calls or ()
    ]
    return ChatGenerationChunk(
        message=AIMessageChunk(content=delta.content or "", tool_call_chunks=calls)
    )
