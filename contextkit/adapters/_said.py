"""What a request says, compared by what it means: the keys that find a history's thread.

Messages are compared by what they say, since replies come back with fields added, dropped or reordered.
The instructions at the start have their place and no more: agents that write the date or a memory into
their system prompt go on with the same conversation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol, cast

from contextkit.instructions import instructions_of
from contextkit.messages import Message, ReasoningPart, TextPart, to_json

INSTRUCTION = b"instruction"
"""The key of every instruction that a history opens with."""


class Said(Protocol):
    """A full history as a request carries it, read only as far as it has to be."""

    @property
    def keys(self) -> list[bytes]:
        """The `content_keys` of the messages."""
        ...

    @property
    def instructions(self) -> Sequence[Message]:
        """The system's and developer's messages that stand first."""
        ...

    @property
    def n_opening(self) -> int:
        """How many of the first messages a conversation is known by: up to the first user request."""
        ...

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on."""
        ...


class Whole:
    """A history whose messages are all at hand."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.instructions = instructions_of(messages)
        self.keys = content_keys(messages)
        self.n_opening = opening(messages)

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on."""
        return list(self.messages[start:])


class Answered:
    """A history with the reply behind it."""

    def __init__(self, said: Said, reply: Message) -> None:
        self.keys = [*said.keys, content_key(reply)]
        self.instructions = said.instructions
        self.n_opening = said.n_opening
        self._said = said
        self._reply = reply

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on, the reply as the last."""
        return [*self._said.since(start), self._reply] if start < len(self.keys) else []


def content_keys(messages: Sequence[Message]) -> list[bytes]:
    """The keys of a history from its first message on."""
    n_instructions = len(instructions_of(messages))
    return [INSTRUCTION] * n_instructions + [content_key(m) for m in messages[n_instructions:]]


def content_key(message: Message) -> bytes:
    """SHA-256 of what a message says: equal for a reply and for what users make of it.

    Fields without a place, reasoning, empty text and how text is cut into parts do not count.
    """
    parts: list[Any] = []
    text = ""
    for part in message.parts:
        if isinstance(part, TextPart):
            text += part.text
        elif not isinstance(part, ReasoningPart):
            parts.append(_bare(to_json(Message(message.role, (part,)))["parts"][0]))
    value = [message.role, message.name, text.strip(), parts]
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def opening(messages: Sequence[Message]) -> int:
    """How many messages reach up to the first user request: what a conversation is known by."""
    for index, message in enumerate(messages):
        if message.is_request:
            return index + 1
    return min(1, len(messages))


def opening_name(said: Said) -> str:
    """A name for a conversation that nobody named, by its instructions and first request."""
    instructions = [content_key(message) for message in said.instructions]
    return f"chat/{digest([*instructions, *said.keys[len(instructions) : said.n_opening]])}"


def digest(keys: Sequence[bytes]) -> str:
    """A short name for a sequence of keys."""
    return hashlib.sha256(b"".join(keys)).hexdigest()[:24]


def shared(left: Sequence[bytes], right: Sequence[bytes]) -> int:
    """How many keys both begin with."""
    reach = min(len(left), len(right))
    left, right = (keys if len(keys) == reach else keys[:reach] for keys in (left, right))
    if left == right:
        return reach
    return next(index for index in range(reach) if left[index] != right[index])


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {k: _bare(v) for k, v in items.items() if k != "extra" and v is not None}
    return [_bare(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
