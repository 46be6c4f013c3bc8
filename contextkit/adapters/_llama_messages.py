"""LlamaIndex's chat messages as contextkit's, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.base.llms.types import (
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from contextkit.backend import Reply
from contextkit.dialects import openai
from contextkit.dialects.usage import chat_usage
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
from contextkit.replies import plain, reply_of
from contextkit.tools import Tool
from contextkit.usage import Usage

if TYPE_CHECKING:
    from contextkit.adapters._framework import Mark
    from contextkit.call import CachePoint as Point

DIALECT = "llama-index"
WHOLE = "llama_index"
"""The field of a message that holds the JSON of one that its parts do not give back."""

_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "developer",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def parse(message: ChatMessage) -> list[Message]:
    """What a chat message says; blocks without a place of their own stay opaque."""
    role = _ROLES[message.role]
    more = message.additional_kwargs
    parts = [part for part in map(_parse_block, message.blocks) if part is not None]
    if role == "tool":
        text_only = all(isinstance(part, TextPart) for part in parts)
        content = message.content or "" if text_only else tuple(parts)
        call_id = str(more.get("tool_call_id") or "")
        return [Message("tool", (ToolResultPart(call_id, content, name=more.get("name")),))]
    if role == "assistant" and not any(isinstance(part, ToolCallPart) for part in parts):
        parts += [_parse_call(call) for call in more.get("tool_calls") or ()]
    return [Message(role, tuple(parts), more.get("name"))]


def stored(message: ChatMessage) -> Message:
    """The message for a log that gives it back whole, in any process."""
    (said,) = parse(message)
    whole = message.model_dump(mode="json")
    if make(said)[0].model_dump(mode="json") == whole:
        return said
    return Message(said.role, said.parts, said.name, {WHOLE: whole})


def restored(message: Message) -> ChatMessage:
    """The chat message that `stored` put there, or one that says what a policy put there."""
    whole = message.extra.get(WHOLE)
    return make(message)[0] if whole is None else ChatMessage.model_validate(whole)


def make(message: Message) -> list[ChatMessage]:
    """Chat messages that say what a policy put there."""
    named = {"name": message.name} if message.name else {}
    if message.tool_results:
        return [_make_result(part) for part in message.tool_results]
    blocks: list[Any] = [b for b in map(_make_block, message.parts) if b is not None]
    return [ChatMessage(role=MessageRole(message.role), blocks=blocks, additional_kwargs=named)]


def marks_of(llm: Any, messages: Sequence[ChatMessage]) -> Mark[ChatMessage] | None:
    """How cache points are put on messages: LlamaIndex's `CachePoint` blocks, for its Anthropic model.

    None for other models, which take no such block, and where the user puts some on himself.
    """
    takes = any(cls.__name__ == "Anthropic" for cls in type(llm).__mro__)
    if not takes or getattr(llm, "cache_idx", None) is not None:
        return None
    is_marked = any(
        "cache_control" in message.additional_kwargs
        or any(isinstance(block, CachePoint) for block in message.blocks)
        for message in messages
    )
    return None if is_marked else _mark


def _mark(message: ChatMessage, point: Point) -> list[ChatMessage] | None:
    """The point behind the last block; the system prompt is made one string, which takes none.

    Nor does a tool's result: LlamaIndex would put the mark into its content, not on it.
    """
    last = message.blocks[-1] if message.blocks else None
    takes = isinstance(last, ImageBlock | ToolCallBlock) or bool(getattr(last, "text", ""))
    if message.role in (MessageRole.SYSTEM, MessageRole.TOOL) or not takes:
        return None
    block = CachePoint(cache_control=CacheControl(type="ephemeral", ttl=point.ttl))
    return [message.model_copy(update={"blocks": [*message.blocks, block]})]


def parse_tool(tool: Any) -> Tool:
    """A tool as LlamaIndex describes it to a model."""
    return openai.parse_tool(tool.metadata.to_openai_tool(skip_length_check=True))


def read_response(response: ChatResponse) -> Reply:
    """A reply with the usage that the provider's own response object tells."""
    (message,) = parse(response.message)
    return Reply(message, _usage(response))


def _usage(response: ChatResponse) -> Usage | None:
    raw = plain(response.raw)
    if isinstance(raw, Mapping):
        told = cast("Mapping[str, Any]", raw)
        used: Any = told.get("usage")
        if isinstance(used, Mapping) and "prompt_tokens" in used:
            return chat_usage(cast("Mapping[str, Any]", used))
        if isinstance(used, Mapping) and told.get("type") == "message":
            return reply_of(told).usage
    said = cast("dict[str, Any]", cast("Any", response).additional_kwargs)
    if "prompt_tokens" in said:
        return Usage(int(said["prompt_tokens"]), int(said.get("completion_tokens") or 0))
    return None


def _parse_block(block: Any) -> Part | None:
    if isinstance(block, TextBlock):
        return TextPart(block.text) if block.text else None
    if isinstance(block, ThinkingBlock):
        signature = block.additional_information.get("signature")
        return ReasoningPart(block.content or "", signature)
    if isinstance(block, ToolCallBlock):
        arguments = block.tool_kwargs
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return ToolCallPart(block.tool_call_id or "", block.tool_name, text)
    if isinstance(block, ImageBlock) and (isinstance(block.image, bytes) or block.url):
        data = block.image.decode("ascii") if isinstance(block.image, bytes) else None
        url = str(block.url) if block.url else None
        return ImagePart(url, data, block.image_mimetype, block.detail)
    return OpaquePart(DIALECT, {"value": block.model_dump(mode="json")})


def _parse_call(call: Any) -> ToolCallPart:
    wire = plain(call)
    function = wire["function"]
    return ToolCallPart(wire["id"], function["name"], function.get("arguments") or "")


def _make_result(part: ToolResultPart) -> ChatMessage:
    more: dict[str, Any] = {"tool_call_id": part.call_id}
    if part.name:
        more["name"] = part.name
    parts = (TextPart(part.content),) if isinstance(part.content, str) else part.content
    blocks: list[Any] = [b for b in map(_make_block, parts) if b is not None]
    return ChatMessage(role=MessageRole.TOOL, blocks=blocks, additional_kwargs=more)


def _make_block(part: Part) -> Any:
    if isinstance(part, TextPart):
        return TextBlock(text=part.text)
    if isinstance(part, ToolCallPart):
        arguments = part.arguments
        return ToolCallBlock(
            tool_call_id=part.id, tool_name=part.name, tool_kwargs=json.loads(arguments or "{}")
        )
    if isinstance(part, ImagePart):
        image = base64.b64decode(part.data) if part.data else None
        return ImageBlock(
            image=image, url=part.url, image_mimetype=part.media_type, detail=part.detail
        )
    return None
