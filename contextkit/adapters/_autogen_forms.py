"""AutoGen's messages as contextkit's, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contextkit.adapters._extras import needed
from contextkit.messages import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)

core: Any = needed("autogen_core", "autogen")
models: Any = needed("autogen_core.models", "autogen")

SOURCE = "source"


def message_of(message: Any) -> Message:
    """AutoGen's message as contextkit's.

    The source of a reply is kept beside it: a client answers without one, the agent adds it.
    """
    match message.type:
        case "SystemMessage":
            return text_message("system", message.content)
        case "UserMessage":
            return Message("user", _said(message.content), extra={SOURCE: message.source})
        case "AssistantMessage":
            reply = answer_of(message.content, message.thought)
            return Message("assistant", reply, extra={SOURCE: message.source})
        case _:
            parts = [
                ToolResultPart(r.call_id, r.content, is_error=bool(r.is_error), name=r.name)
                for r in message.content
            ]
            return Message("tool", tuple(parts))


def messages_of(message: Message) -> list[Any]:
    """AutoGen's messages for one of any origin: results first, where it holds more than those."""
    found: list[Any] = []
    if results := message.tool_results:
        listed = [
            models.FunctionExecutionResult(
                content=r.text, name=r.name or "tool", call_id=r.call_id, is_error=r.is_error
            )
            for r in results
        ]
        found.append(models.FunctionExecutionResultMessage(content=listed))
    said = [part for part in message.parts if not isinstance(part, ToolResultPart)]
    if said or not found:
        found.append(_theirs(message, said))
    return found


def _theirs(message: Message, parts: Sequence[Part]) -> Any:
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
    source = message.extra.get(SOURCE, "contextkit")
    if message.role in ("system", "developer"):
        return models.SystemMessage(content=text)
    if message.role == "assistant":
        calls = [core.FunctionCall(c.id, c.arguments, c.name) for c in message.tool_calls]
        thoughts = [part.text for part in parts if isinstance(part, ReasoningPart)]
        thought = (text if calls else "\n".join(thoughts)) or None
        return models.AssistantMessage(content=calls or text, thought=thought, source=source)
    if all(isinstance(part, TextPart) for part in parts) and message.shape != "list":
        return models.UserMessage(content=text, source=source)
    content = [
        core.Image.from_base64(part.data) if isinstance(part, ImagePart) else part.text
        for part in parts
        if isinstance(part, TextPart) or (isinstance(part, ImagePart) and part.data)
    ]
    return models.UserMessage(content=content, source=source)


def _said(content: Any) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(
        TextPart(each)
        if isinstance(each, str)
        else ImagePart(data=each.to_base64(), media_type="image/png")
        for each in content
    )


def answer_of(content: Any, thought: str | None) -> tuple[Part, ...]:
    """Beside calls a thought is what the model said; beside text it is how it reasoned."""
    if isinstance(content, str):
        return (*((ReasoningPart(thought),) if thought else ()), TextPart(content))
    calls = tuple(ToolCallPart(call.id, call.name, call.arguments) for call in content)
    return (*((TextPart(thought),) if thought else ()), *calls)
