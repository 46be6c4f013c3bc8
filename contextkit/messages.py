"""Messages and their parts as frozen values: what was said, and nothing about where it is stored.

Identity, order and thread belong to the log; a provider's wire form belongs to `contextkit.dialects`.
A message is addressed by its content: `digest` is the SHA-256 of its canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant", "tool")

Extra: TypeAlias = Mapping[str, Any]
"""Fields of the wire form that have no place of their own; kept so that a round trip loses nothing."""

NO_EXTRA: Extra = MappingProxyType({})


def _no_extra() -> Extra:
    return NO_EXTRA


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words for the model."""

    text: str
    extra: Extra = field(default_factory=_no_extra, hash=False)


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """A model's reasoning; `signature` is opaque and goes back byte-exact or not at all.

    `redacted` reasoning has no readable text: its `signature` is all there is.
    """

    text: str = ""
    signature: str | None = None
    redacted: bool = False
    extra: Extra = field(default_factory=_no_extra, hash=False)


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A model asks for a tool; `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str
    extra: Extra = field(default_factory=_no_extra, hash=False)


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """What a tool answered to call `call_id`: text, or parts where images or blocks came back."""

    call_id: str
    content: str | tuple[Part, ...]
    is_error: bool = False
    name: str | None = None
    extra: Extra = field(default_factory=_no_extra, hash=False)

    @property
    def text(self) -> str:
        """The readable text of the result; images and files do not show in it."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(p.text for p in self.content if isinstance(p, TextPart))


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image: a URL, or base64 `data` with its media type."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Extra = field(default_factory=_no_extra, hash=False)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A document: a provider's file id, a URL, or base64 `data` with its media type."""

    file_id: str | None = None
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    filename: str | None = None
    extra: Extra = field(default_factory=_no_extra, hash=False)


@dataclass(frozen=True, slots=True)
class OpaquePart:
    """A block contextkit does not know: passed back to the dialect it came from, byte-exact."""

    dialect: str
    value: Extra = field(hash=False)


Part: TypeAlias = (
    TextPart | ReasoningPart | ToolCallPart | ToolResultPart | ImagePart | FilePart | OpaquePart
)

_PART_KINDS: dict[str, type[Part]] = {
    "text": TextPart,
    "reasoning": ReasoningPart,
    "tool_call": ToolCallPart,
    "tool_result": ToolResultPart,
    "image": ImagePart,
    "file": FilePart,
    "opaque": OpaquePart,
}
_KIND_OF = {cls: kind for kind, cls in _PART_KINDS.items()}


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    `extra` holds what a wire form carried beside the parts (a time stamp, a provider's id); `shape`
    says how its content was written there (a bare string, a list, null), so that it goes back the same.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    extra: Extra = field(default_factory=_no_extra, hash=False)
    shape: str = ""

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON of this message: ASCII, sorted keys, no spaces."""
        return json.dumps(to_json(self), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of `canonical`, 32 bytes."""
        return hashlib.sha256(self.canonical.encode("ascii")).digest()

    @property
    def text(self) -> str:
        """The readable text: text parts and tool results, one after another."""
        return "\n".join(p.text for p in self.parts if isinstance(p, TextPart | ToolResultPart))

    @cached_property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return tuple(p for p in self.parts if isinstance(p, ToolCallPart))

    @cached_property
    def tool_results(self) -> tuple[ToolResultPart, ...]:
        return tuple(p for p in self.parts if isinstance(p, ToolResultPart))

    @cached_property
    def is_request(self) -> bool:
        """True for what a user asks: a user message that says more than tool results."""
        return self.role == "user" and not all(
            isinstance(p, ToolResultPart) or (isinstance(p, TextPart) and not p.text.strip())
            for p in self.parts
        )

    @cached_property
    def is_empty(self) -> bool:
        """True where there is nothing to send: no part, or only empty text."""
        return all(isinstance(p, TextPart) and not p.text.strip() for p in self.parts)

    @cached_property
    def pairing(self) -> tuple[tuple[ToolCallPart, ...], tuple[ToolResultPart, ...], bool]:
        """Tool calls, tool results and whether there is nothing to send; for checks over many messages."""
        return self.tool_calls, self.tool_results, self.is_empty

    def same_content(self, other: Message) -> bool:
        """Whether both say the same, whatever bookkeeping came with them."""
        return (self.role, self.name, _plain(self.parts)) == (
            other.role,
            other.name,
            _plain(other.parts),
        )


def text_message(role: Role, text: str) -> Message:
    """A message of one text part."""
    return Message(role, (TextPart(text),))


def _plain(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    plain = [{k: v for k, v in _part_to_json(p).items() if k != "extra"} for p in parts]
    return [p for p in plain if p != {"kind": "text", "text": ""}]


def to_json(message: Message) -> dict[str, Any]:
    """The message as JSON values, for stores; fields at their default are left out."""
    out: dict[str, Any] = {
        "role": message.role,
        "parts": [_part_to_json(part) for part in message.parts],
    }
    if message.name is not None:
        out["name"] = message.name
    if message.extra:
        out["extra"] = dict(message.extra)
    if message.shape:
        out["shape"] = message.shape
    return out


def from_json(value: Mapping[str, Any]) -> Message:
    """The message that `to_json` wrote."""
    return Message(
        role=value["role"],
        parts=tuple(_part_from_json(part) for part in value["parts"]),
        name=value.get("name"),
        extra=value.get("extra", NO_EXTRA),
        shape=value.get("shape", ""),
    )


def _part_to_json(part: Part) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": _KIND_OF[type(part)]}
    for name, default in _DEFAULTS[type(part)]:
        value = getattr(part, name)
        if value == default:
            continue
        if name == "content" and isinstance(value, tuple):
            value = [_part_to_json(inner) for inner in cast("tuple[Part, ...]", value)]
        elif name in ("extra", "value"):
            value = dict(value)
        out[name] = value
    return out


def _part_from_json(value: Mapping[str, Any]) -> Part:
    rest = dict(value)
    cls = _PART_KINDS[rest.pop("kind")]
    content: Any = rest.get("content")
    if content is not None and not isinstance(content, str):
        rest["content"] = tuple(_part_from_json(part) for part in content)
    return cls(**rest)


_DEFAULTS: dict[type[Part], tuple[tuple[str, Any], ...]] = {
    cls: tuple((f.name, NO_EXTRA if f.name == "extra" else f.default) for f in fields(cls))
    for cls in _KIND_OF
}
"""Field name and default of every part kind; a field without a default has `MISSING`, equal to no value."""
