"""A LlamaIndex model that asks the local provider through the OpenAI SDK."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from openai import AsyncOpenAI, OpenAI

from tests.adapters.managers import RESERVE
from tests.adapters.scenario import MODEL


class LocalLLM(FunctionCallingLLM):
    """Chat Completions at `base_url`, whole and streamed, with tools."""

    base_url: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True, model_name=MODEL)

    def _request(self, messages: Sequence[ChatMessage], **kwargs: Any) -> dict[str, Any]:
        tools = {"tools": kwargs["tools"]} if kwargs.get("tools") else {}
        wire = [_wire(message) for message in messages]
        return {"model": MODEL, "messages": wire, "max_completion_tokens": RESERVE, **tools}

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        with OpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            return _response(client.chat.completions.create(**self._request(messages, **kwargs)))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        async with AsyncOpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
            request = self._request(messages, **kwargs)
            return _response(await client.chat.completions.create(**request))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        def chunks() -> Any:
            with OpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
                request = self._request(messages, **kwargs)
                with client.chat.completions.stream(**request, **_WITH_USAGE) as stream:
                    for event in stream:
                        if event.type == "content.delta":
                            said = ChatMessage(event.snapshot, role="assistant")
                            yield ChatResponse(message=said, delta=event.delta)
                    yield _response(stream.get_final_completion())

        return chunks()

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        async def chunks() -> Any:
            async with AsyncOpenAI(base_url=self.base_url, api_key="k", max_retries=0) as client:
                request = self._request(messages, **kwargs)
                async with client.chat.completions.stream(**request, **_WITH_USAGE) as stream:
                    async for event in stream:
                        if event.type == "content.delta":
                            said = ChatMessage(event.snapshot, role="assistant")
                            yield ChatResponse(message=said, delta=event.delta)
                    yield _response(await stream.get_final_completion())

        return chunks()

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: Any = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        asked = [] if user_msg is None else [ChatMessage(user_msg)]
        wire = [tool.metadata.to_openai_tool() for tool in tools]
        return {"messages": [*(chat_history or []), *asked], "tools": wire}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **_: Any
    ) -> list[ToolSelection]:
        return [
            ToolSelection(
                tool_id=block.tool_call_id, tool_name=block.tool_name, tool_kwargs=block.tool_kwargs
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


_WITH_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


def _wire(message: ChatMessage) -> dict[str, Any]:
    role = message.role.value
    if role == "tool":
        call_id = message.additional_kwargs["tool_call_id"]
        return {"role": "tool", "tool_call_id": call_id, "content": message.content or ""}
    calls = [
        {
            "id": block.tool_call_id,
            "type": "function",
            "function": {"name": block.tool_name, "arguments": json.dumps(block.tool_kwargs)},
        }
        for block in message.blocks
        if isinstance(block, ToolCallBlock)
    ]
    if calls:
        return {"role": role, "content": message.content or None, "tool_calls": calls}
    return {"role": role, "content": message.content or ""}


def _response(answer: Any) -> ChatResponse:
    message = answer.choices[0].message
    blocks: list[Any] = [TextBlock(text=message.content)] if message.content else []
    blocks += [
        ToolCallBlock(
            tool_call_id=call.id,
            tool_name=call.function.name,
            tool_kwargs=json.loads(call.function.arguments),
        )
        for call in message.tool_calls or ()
    ]
    return ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), raw=answer)
