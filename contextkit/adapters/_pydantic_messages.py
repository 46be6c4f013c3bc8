"""Pydantic-AI's messages as contextkit's, and back.

A `ModelRequest` holds tool results, retries and what the user says together; each of its parts is a
unit of its own, so that one result can be shortened while the others stay the objects they are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_core import to_jsonable_python

from contextkit import messages as ours
from contextkit.adapters._framework import Unit
from contextkit.messages import Message, Part, text_message

if TYPE_CHECKING:
    from contextkit.adapters._framework import Mark
    from contextkit.call import CachePoint as Point

DIALECT = "pydantic-ai"


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A reply, or one part of a request; `source` is None for what a policy put there."""

    source: ModelMessage | None
    part: ModelRequestPart | None = None


def units(messages: Sequence[ModelMessage], instructions: Iterable[str]) -> list[Unit[Said]]:
    """What is said in a request, its instructions first: those stay where Pydantic-AI keeps them."""
    found: list[Unit[Said]] = [
        Unit((), (text_message("system", text),)) for text in instructions if text
    ]
    for message in messages:
        if isinstance(message, ModelResponse):
            found.append(Unit((Said(message),), (parse_response(message),)))
        else:
            found += [Unit((Said(message, p),), tuple(_parse_request(p))) for p in message.parts]
    return found


def joined(said: Iterable[Said]) -> list[ModelMessage]:
    """The messages that these make: whole ones are the very objects they came from."""
    out: list[ModelMessage] = []
    parts: list[ModelRequestPart] = []
    source: ModelRequest | None = None

    def close() -> None:
        nonlocal parts, source
        if parts:
            out.append(_request(source, parts))
        parts, source = [], None

    for each in said:
        if each.part is None:
            close()
            if each.source is not None:
                out.append(each.source)
            continue
        if isinstance(each.source, ModelRequest):
            if source is not None and each.source is not source:
                close()
            source = each.source
        parts.append(each.part)
    close()
    return out


def make(message: Message) -> list[Said]:
    """What a policy put there, in Pydantic-AI's objects."""
    if message.role == "assistant":
        return [Said(ModelResponse(parts=[_make_said(part) for part in _shown(message.parts)]))]
    if message.tool_results:
        return [Said(None, _make_return(part)) for part in message.tool_results]
    if message.role in ("system", "developer"):
        return [Said(None, SystemPromptPart(content=message.text))]
    content = [_make_content(part) for part in message.parts]
    only = content[0] if len(content) == 1 else None
    return [Said(None, UserPromptPart(content=only if isinstance(only, str) else content))]


_CACHING = ("AnthropicModel", "BedrockConverseModel")


def marks_of(model: Any, messages: Iterable[ModelMessage]) -> Mark[Said] | None:
    """How cache points are put on messages: for models of Anthropic and Bedrock, which take them.

    None for others, for which Pydantic-AI would leave an empty message in their place, and where the
    user puts some on himself.
    """
    while (wrapped := getattr(model, "wrapped", None)) is not None:
        model = wrapped
    if not any(cls.__name__ in _CACHING for cls in type(model).__mro__):
        return None
    requests = [message for message in messages if isinstance(message, ModelRequest)]
    said = [
        part.content for each in requests for part in each.parts if isinstance(part, UserPromptPart)
    ]
    is_marked = any(isinstance(item, CachePoint) for content in said for item in content)
    return None if is_marked else _mark


def _mark(said: Said, point: Point) -> list[Said] | None:
    if said.part is None or isinstance(said.part, SystemPromptPart):
        return None
    return [said, Said(said.source, UserPromptPart(content=[CachePoint(ttl=point.ttl)]))]


def parse_response(response: ModelResponse) -> Message:
    """A model's reply; what is no text, reasoning or call stays opaque."""
    return Message("assistant", tuple(_parse_said(part) for part in response.parts))


def _request(source: ModelRequest | None, parts: list[ModelRequestPart]) -> ModelRequest:
    if source is None:
        return ModelRequest(parts=parts)
    same = len(source.parts) == len(parts) and all(
        one is other for one, other in zip(source.parts, parts, strict=True)
    )
    return source if same else replace(source, parts=parts)


def _parse_request(part: ModelRequestPart) -> list[Message]:
    if isinstance(part, SystemPromptPart):
        return [text_message("system", part.content)]
    if isinstance(part, UserPromptPart):
        said = [part.content] if isinstance(part.content, str) else part.content
        return [Message("user", _content(said))]
    if isinstance(part, ToolReturnPart):
        text, files = part.model_response_str(), part.files
        content = (ours.TextPart(text), *_content(files)) if files else text
        failed = part.outcome != "success"
        result = ours.ToolResultPart(part.tool_call_id, content, failed, part.tool_name)
        return [Message("tool", (result,))]
    say: Any = getattr(part, "model_response", None)
    if say is None:
        return [Message("user", (_opaque(part),))]
    tool_name = getattr(part, "tool_name", None)
    if tool_name is None:
        return [text_message("user", say())]
    call_id: str = getattr(part, "tool_call_id", "")
    return [Message("tool", (ours.ToolResultPart(call_id, say(), True, tool_name),))]


def _content(content: Sequence[UserContent]) -> tuple[Part, ...]:
    return tuple(_parse_content(each) for each in content if not isinstance(each, CachePoint))


def _parse_content(content: UserContent) -> Part:
    if isinstance(content, str):
        return ours.TextPart(content)
    if isinstance(content, TextContent):
        return ours.TextPart(content.content)
    if isinstance(content, ImageUrl):
        return ours.ImagePart(content.url)
    if isinstance(content, DocumentUrl):
        return ours.FilePart(url=content.url)
    if isinstance(content, BinaryContent):
        data = base64.b64encode(content.data).decode("ascii")
        if content.is_image:
            return ours.ImagePart(data=data, media_type=content.media_type)
        return ours.FilePart(data=data, media_type=content.media_type)
    return _opaque(content)


def _parse_said(part: ModelResponsePart) -> Part:
    if isinstance(part, TextPart):
        return ours.TextPart(part.content)
    if isinstance(part, ThinkingPart):
        return ours.ReasoningPart(part.content, part.signature)
    if isinstance(part, ToolCallPart):
        return ours.ToolCallPart(part.tool_call_id, part.tool_name, part.args_as_json_str())
    return _opaque(part)


def _opaque(value: Any) -> ours.OpaquePart:
    return ours.OpaquePart(DIALECT, {"value": to_jsonable_python(value, fallback=str)})


def _shown(parts: Sequence[Part]) -> list[Part]:
    """Reasoning is bound to the reply it came in and stays out of one that was changed."""
    return [part for part in parts if isinstance(part, ours.TextPart | ours.ToolCallPart)]


def _make_said(part: Part) -> ModelResponsePart:
    if isinstance(part, ours.ToolCallPart):
        return ToolCallPart(part.name, part.arguments, part.id)
    return TextPart(part.text if isinstance(part, ours.TextPart) else "")


def _make_return(part: ours.ToolResultPart) -> ToolReturnPart:
    content: Any = part.content
    if not isinstance(part.content, str):
        content = [_make_content(each) for each in part.content]
    return ToolReturnPart(part.name or "tool", content, part.call_id)


def _make_content(part: Part) -> UserContent:
    if isinstance(part, ours.ImagePart | ours.FilePart):
        if part.data is not None:
            data = base64.b64decode(part.data)
            return BinaryContent(data, media_type=part.media_type or "application/octet-stream")
        url = part.url or ""
        return ImageUrl(url) if isinstance(part, ours.ImagePart) else DocumentUrl(url)
    return part.text if isinstance(part, ours.TextPart) else ""
