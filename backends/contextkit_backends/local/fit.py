"""Bringing OpenAI-form messages into what a chat template takes.

Templates disagree on three things: whether a tool call's arguments are JSON text or an object,
whether content may be a list of parts, and which roles may follow one another. The first two are
found out by rendering a probe; the third by trying, the least change first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contextkit_backends.local.template import ChatTemplate, TemplateRefused, WireMessage

_ARGUMENTS = '{"probe": "argument"}'
_ASK: WireMessage = {"role": "user", "content": "probe"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a template takes beside plain text."""

    argument_text: bool
    """True where a tool call's arguments go in as JSON text; else as an object."""
    content_parts: bool
    """True where content may be a list of parts; else its texts are joined by line breaks."""

    @classmethod
    def of(cls, template: ChatTemplate) -> Reading:
        """Ask the template."""
        call = {"id": "probe00id", "type": "function"}
        call["function"] = {"name": "probe", "arguments": _ARGUMENTS}  # type: ignore[assignment]
        with_call = _rendered(
            template, [_ASK, {"role": "assistant", "content": "", "tool_calls": [call]}]
        )
        parts = [{"type": "text", "text": "probe-one"}, {"type": "text", "text": "probe-two"}]
        with_parts = _rendered(template, [{"role": "user", "content": parts}])
        shows_both = "probe-one" in with_parts and "probe-two" in with_parts
        return cls(_ARGUMENTS in with_call, shows_both and "'type'" not in with_parts)

    def of_message(self, message: WireMessage) -> dict[str, Any]:
        """The message as the template takes it; a developer speaks as the system."""
        out = dict(message)
        if out.get("role") == "developer":
            out["role"] = "system"
        if isinstance(out.get("content"), list) and not self.content_parts:
            out["content"] = _text(out)
        if out.get("tool_calls"):
            calls = [_as_function(call) for call in out["tool_calls"]]
            out["tool_calls"] = calls if self.argument_text else [_with_object(c) for c in calls]
        return out


def as_is(messages: Sequence[WireMessage]) -> list[WireMessage]:
    return list(messages)


def joined(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Neighbours of one role as one message; those that call or answer tools stay alone."""
    out: list[WireMessage] = []
    for message in messages:
        last = out[-1] if out else None
        if last is not None and last["role"] == message["role"] and _joins(last, message):
            out[-1] = {**last, "content": f"{_text(last)}\n\n{_text(message)}"}
        else:
            out.append(message)
    return out


def folded(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """Every system message spoken by the user, then neighbours of one role joined."""
    return joined(
        [{**m, "role": "user"} if m["role"] == "system" else m for m in messages],
    )


ways = (as_is, joined, folded)
"""Tried in this order until the template takes one."""


def _joins(left: WireMessage, right: WireMessage) -> bool:
    return left["role"] != "tool" and not left.get("tool_calls") and not right.get("tool_calls")


def _text(message: WireMessage) -> str:
    content: Any = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if "text" in part)


def _as_function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A custom tool's call, whose input is free text, as the call of a function."""
    custom = call.get("custom")
    if custom is None:
        return call
    arguments = json.dumps({"input": custom["input"]}, ensure_ascii=False)
    body = {"name": custom["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": body}


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except ValueError:
        return dict(call)
    return {**call, "function": {**function, "arguments": arguments}}


def _rendered(template: ChatTemplate, messages: Sequence[WireMessage]) -> str:
    try:
        return template.render(messages)
    except TemplateRefused:
        return ""
