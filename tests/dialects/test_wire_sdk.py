"""The providers' own SDKs: their objects are read, their request types take what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from contextkit.dialects import anthropic, openai, parse_message, parse_messages, responses
from tests.dialects.samples import recorded, renamed


def _conversations() -> list[Any]:

    return [renamed(parse_messages(m)) for m in recorded()[::5]]


def _listed(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])


def test_openai_objects_and_types() -> None:
    chat = pytest.importorskip("openai.types.chat")
    types = pytest.importorskip("openai.types.responses")
    said = chat.ChatCompletionMessage(role="assistant", content="Hello")
    assert openai.dump(parse_message(said)) == {"role": "assistant", "content": "Hello"}
    call = types.ResponseFunctionToolCall(
        type="function_call", call_id="c", name="f", arguments="{}", id="fc_1"
    )
    assert parse_messages([call])[0].tool_calls[0].id == "c"
    messages = _listed(chat.ChatCompletionMessageParam)
    items = _listed(types.ResponseInputItemParam)
    for conversation in _conversations():
        messages.validate_python(openai.request(conversation)["messages"])
        items.validate_python(responses.request(conversation)["input"])


def test_anthropic_objects_and_types() -> None:
    types = pytest.importorskip("anthropic.types")
    answer = types.Message.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    )
    assert parse_message(answer).tool_calls[0].arguments == '{"a": 1}'
    messages = _listed(types.MessageParam)
    for conversation in _conversations():
        messages.validate_python(anthropic.request(conversation)["messages"])
