"""LangChain's messages and tools as contextkit's, and back; LangChain and LangGraph share it.

Content blocks are read in the forms that LangChain carries: its own, OpenAI's and Anthropic's. Others
stay opaque: they are counted and compared by their JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.utils.function_calling import convert_to_openai_tool

from contextkit.backend import Reply
from contextkit.dialects import parse_tool
from contextkit.dialects.anthropic.caching import MARK, mark_of
from contextkit.dialects.openai.blocks import dump_block
from contextkit.errors import InvalidMessage
from contextkit.messages import (
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from contextkit.tools import Tool
from contextkit.usage import Usage

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from contextkit.adapters._framework import Mark
    from contextkit.call import CachePoint

DIALECT = "langchain"
_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system"}
_SPOKEN: tuple[Role, ...] = ("system", "developer", "user", "assistant")
_CALLS = ("tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta")


def parse(message: BaseMessage) -> list[Message]:
    """What a LangChain message says. Raises `InvalidMessage` for one that no chat model takes."""
    if isinstance(message, ToolMessage):
        return [_parse_result(message)]
    content: Any = message.content  # pyright: ignore[reportUnknownMemberType]
    parts = _parse_content(content)
    if isinstance(message, AIMessage):
        reasoning = message.additional_kwargs.get("reasoning_content")
        if isinstance(reasoning, str) and reasoning:
            parts.insert(0, ReasoningPart(reasoning))
        parts += _parse_calls(message)
    return [Message(_role_of(message), tuple(parts), message.name)]


def make(message: Message) -> list[BaseMessage]:
    """LangChain messages that say what a policy put there."""
    if message.tool_results:
        return [_make_result(part) for part in message.tool_results]
    blocks = [_make_block(p) for p in message.parts if not isinstance(p, ToolCallPart)]
    shown = [block for block in blocks if block is not None]
    only = shown[0] if len(shown) == 1 else None
    content: Any = only["text"] if only and only.keys() == {"type", "text"} else shown or ""
    if message.role == "assistant":
        calls = [_make_call(part) for part in message.tool_calls]
        return [AIMessage(content, tool_calls=calls, name=message.name)]
    if message.role in ("system", "developer"):
        return [SystemMessage(content, name=message.name)]
    return [HumanMessage(content, name=message.name)]


def marks_of(model: Any, messages: Sequence[BaseMessage]) -> Mark[BaseMessage] | None:
    """How cache points are put on messages for this model.

    None where it takes none, and where the user has put some on them himself.
    """
    if not str(getattr(model, "_llm_type", "")).startswith("anthropic-chat"):
        return None
    contents: list[Any] = [m.content for m in messages]  # pyright: ignore[reportUnknownMemberType]
    blocks = [
        b for content in contents if isinstance(content, list) for b in cast("list[Any]", content)
    ]
    return None if any(isinstance(b, dict) and MARK in b for b in blocks) else _mark


def _mark(message: BaseMessage, point: CachePoint) -> list[BaseMessage] | None:
    """Anthropic's cache point on the last block, as langchain-anthropic hands it on."""
    content: Any = message.content  # pyright: ignore[reportUnknownMemberType]
    blocks: list[Any] = [content] if isinstance(content, str) else list(content)
    if isinstance(message, AIMessage) or not blocks or not blocks[-1]:
        return None
    last = {"type": "text", "text": blocks[-1]} if isinstance(blocks[-1], str) else blocks[-1]
    return [message.model_copy(update={"content": [*blocks[:-1], {**last, MARK: mark_of(point)}]})]


def parse_tools(tools: Sequence[BaseTool | dict[str, Any]]) -> list[Tool]:
    """The tools of a request, as LangChain describes them to a model."""
    return [parse_tool(convert_to_openai_tool(tool)) for tool in tools]


def reply_of(answer: AIMessage) -> Reply:
    """The answer of a chat model with the usage that it reports."""
    return Reply(parse(answer)[0], usage_of(answer))


def usage_of(answer: AIMessage) -> Usage | None:
    """LangChain's `usage_metadata`; its input includes what a cache read and wrote, as ours does."""
    reported = answer.usage_metadata
    if reported is None:
        return None
    read, written = (
        reported.get("input_token_details", {}),
        reported.get("output_token_details", {}),
    )
    return Usage(
        reported["input_tokens"],
        reported["output_tokens"],
        read.get("cache_read") or 0,
        read.get("cache_creation") or 0,
        written.get("reasoning") or 0,
    )


def _role_of(message: BaseMessage) -> Role:
    role: Role | None = _ROLES.get(message.type.removesuffix("MessageChunk").lower())
    if role is None:
        named = getattr(message, "role", message.type)
        role = next((known for known in _SPOKEN if known == named), None)
    if role is None:
        raise InvalidMessage(
            f"role: {message.type!r} is none that a chat model takes; "
            "HumanMessage, AIMessage, SystemMessage and ToolMessage would work"
        )
    return role


def _parse_content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    found = (_parse_block(block) for block in content)
    return [part for part in found if part is not None]


def _parse_block(block: Any) -> Part | None:
    if isinstance(block, str):
        return TextPart(block)
    fields = cast("Mapping[str, Any]", block)
    kind = fields.get("type")
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if kind in _CALLS:
        return None  # the message's own `tool_calls` say it
    if kind in ("thinking", "redacted_thinking", "reasoning"):
        text = fields.get("thinking") or fields.get("reasoning") or ""
        signature = fields.get("signature") or fields.get("data")
        return ReasoningPart(str(text), signature, kind == "redacted_thinking", _copy(fields))
    if kind in ("image", "image_url"):
        return _parse_image(fields)
    return OpaquePart(DIALECT, _copy(fields))


def _parse_image(block: Mapping[str, Any]) -> ImagePart:
    image: Any = block.get("image_url") or block.get("source") or block
    if isinstance(image, str):
        return ImagePart(image, extra=_copy(block))
    data = image.get("base64") or image.get("data")
    media_type = image.get("mime_type") or image.get("media_type")
    return ImagePart(image.get("url"), data, media_type, image.get("detail"), _copy(block))


def _copy(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block as JSON values; what JSON has no word for, as text."""
    return {"block": json.loads(json.dumps(block, default=str))}


def _parse_calls(message: AIMessage) -> list[Part]:
    calls: list[Part] = [
        ToolCallPart(call["id"] or "", call["name"], json.dumps(call["args"]))
        for call in message.tool_calls
    ]
    for call in message.invalid_tool_calls:
        name, arguments = call["name"] or "unknown", call["args"] or ""
        calls.append(ToolCallPart(call["id"] or "", name, arguments))
    return calls


def _parse_result(message: ToolMessage) -> Message:
    content: Any = message.content  # pyright: ignore[reportUnknownMemberType]
    said = content if isinstance(content, str) else tuple(_parse_content(content))
    failed = message.status == "error"
    return Message("tool", (ToolResultPart(message.tool_call_id, said, failed, message.name),))


def _make_result(part: ToolResultPart) -> ToolMessage:
    content: Any = part.content
    if not isinstance(part.content, str):
        content = [block for block in map(_make_block, part.content) if block is not None]
    status = "error" if part.is_error else "success"
    return ToolMessage(content, tool_call_id=part.call_id, name=part.name, status=status)


def _make_call(part: ToolCallPart) -> Any:
    try:
        args = json.loads(part.arguments or "{}")
    except ValueError:
        args = {"arguments": part.arguments}
    return {"id": part.id, "name": part.name, "args": args, "type": "tool_call"}


def _make_block(part: Part) -> dict[str, Any] | None:
    extra = getattr(part, "extra", {})
    if isinstance(part, OpaquePart) and part.dialect == DIALECT:
        return dict(part.value["block"])
    if "block" in extra:
        return dict(extra["block"])
    return None if isinstance(part, ReasoningPart) else dump_block(part)
