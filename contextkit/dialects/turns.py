"""What every request does with a conversation before its own wire form: turns, reasoning, results.

A turn is a run of assistant messages, or a run of all others. Providers want each batch of calls
answered directly after it, so within a turn results come first and the rest keeps its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from contextkit.messages import Message, Part, ReasoningPart, TextPart, ToolResultPart

Turn: TypeAlias = list[tuple[int, Message]]
"""The messages of one turn, each with its index in the conversation."""


def turns(messages: Sequence[Message], start: int = 0) -> Iterator[tuple[bool, Turn]]:
    """The turns of a conversation from `start` on, and whether each is the assistant's.

    Messages with nothing to send are left out.
    """
    sent = ((i, m) for i, m in enumerate(messages) if i >= start and not m.is_empty)
    for ours, turn in groupby(sent, key=lambda item: item[1].role == "assistant"):
        yield ours, list(turn)


def results_of(turn: Turn) -> list[tuple[int, ToolResultPart]]:
    """The tool results of a turn, in order, each with its message's index."""
    return [(index, part) for index, message in turn for part in message.tool_results]


def others_of(message: Message) -> list[Part]:
    """The parts of a message beside its tool results, blank text left out."""
    return [
        part for part in message.parts if not isinstance(part, ToolResultPart) and not blank(part)
    ]


def blank(part: Part) -> bool:
    """Whether this is text without a visible character."""
    return isinstance(part, TextPart) and not part.text.strip()


def is_responses_reasoning(part: ReasoningPart) -> bool:
    """Whether this is a reasoning item of the Responses API."""
    return part.extra.get("type") == "reasoning"
