"""A conversation as plain text: what a model would read, for people and for text-only models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contextkit.dialects.fields import stand_in
from contextkit.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart


def render(messages: Sequence[Message]) -> str:
    """Every message as a `[role] …` block, blank lines between; calls as `name(arguments)`.

    Messages with nothing to send are left out, as in the requests.
    """
    return "\n\n".join(
        block for message in messages if not message.is_empty for block in _blocks(message)
    )


def _blocks(message: Message) -> Iterator[str]:
    """One block for the message itself, and one for each tool result in it."""
    name = f" {message.name}" if message.name else ""
    lines = [_line(p) for p in message.parts if not isinstance(p, ToolResultPart)]
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            yield f"[{_label(part)}] {_result(part)}"
    if any(lines):
        yield f"[{message.role}{name}] " + "\n".join(line for line in lines if line)


def _line(part: Part) -> str:
    match part:
        case TextPart():
            return part.text
        case ReasoningPart():
            return f"(reasoning) {part.text or 'not readable'}"
        case ToolCallPart():
            return f"{part.name}({part.arguments})"
        case ToolResultPart():
            return _result(part)
        case _:
            return stand_in(part)


def _label(part: ToolResultPart) -> str:
    kind = "tool error" if part.is_error else "tool result"
    return " ".join(filter(None, (kind, part.name, part.call_id)))


def _result(part: ToolResultPart) -> str:
    if isinstance(part.content, str):
        return part.content
    return "\n".join(_line(inner) for inner in part.content)
