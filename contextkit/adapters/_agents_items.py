"""Items of the OpenAI Agents SDK as messages, and messages as the items that they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from contextkit.adapters._framework import Unit
from contextkit.adapters._shared import parse_each
from contextkit.dialects import responses
from contextkit.messages import Message, OpaquePart, Part, ReasoningPart, ToolCallPart
from contextkit.replies import plain, responses_message


def units_of_items(items: Sequence[Any], name: str = "input") -> list[Unit[Any]]:
    """The items, those of one reply together. Raises `InvalidMessage` naming the one that is none."""
    units: list[Unit[Any]] = []
    pairs = zip(items, parse_each(responses.parse, items, name), strict=True)
    for ours, run in groupby(pairs, key=lambda pair: pair[1].role == "assistant"):
        found = list(run)
        if ours:
            of_reply = tuple(item for item, _ in found)
            units.append(Unit(of_reply, (responses_message([plain(item) for item in of_reply]),)))
        else:
            units += [Unit((item,), (message,)) for item, message in found]
    return units


def items_of(message: Message) -> list[dict[str, Any]]:
    """The items that a message was read from, those of a reply one by one."""
    if message.role != "assistant" or message.shape == "item":
        return [responses.dump(message)]
    return [responses.dump(each) for each in _split(message)]


def _split(message: Message) -> Iterator[Message]:
    for alone, run in groupby(message.parts, key=_is_item):
        parts = tuple(run)
        if not alone:
            yield Message("assistant", parts, extra=message.extra, shape=message.shape)
            continue
        for part in parts:
            yield Message(
                "assistant", (part,), shape="item" if isinstance(part, OpaquePart) else ""
            )


def _is_item(part: Part) -> bool:
    return isinstance(part, ToolCallPart | ReasoningPart | OpaquePart)
