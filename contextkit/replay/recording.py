"""A recorded conversation as a frozen value: what was said, where a model was asked, what it reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contextkit.messages import NO_EXTRA, Message
from contextkit.tools import Tool
from contextkit.usage import Usage


@dataclass(frozen=True, slots=True)
class Said:
    """One message as a reader found it: when it was said, what its call used."""

    message: Message
    at: float | None = None
    """Seconds since the epoch, or since any one moment of the recording."""
    usage: Usage | None = None
    """Of the call that this message answers; None for what no model said."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A place where the recorded model was asked; message `n_before` is what it answered."""

    n_before: int
    """Messages that were said before."""
    at: float | None = None
    """When it was asked, in seconds; None where the recording does not say."""
    usage: Usage | None = None
    """What the provider reported."""


@dataclass(frozen=True, slots=True)
class Question:
    """Asked when all was said: which messages, or which words, a call must hold to answer it."""

    text: str
    evidence: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """One recorded conversation; two of them are the same only where they are one object."""

    id: str
    source: str
    """The form it was recorded in: `openai`, `anthropic`, `langchain`, `tau`, `swe_agent`."""
    messages: tuple[Message, ...]
    """The system's first, where there are any."""
    calls: tuple[RecordedCall, ...]
    tools: tuple[Tool, ...] = ()
    model: str = ""
    """The recorded model, where the recording names it."""
    cost: float | None = None
    """What the whole run was billed, in `currency`."""
    currency: str = "USD"
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()
    """What is wrong with the recording and what was made of it."""
    meta: Mapping[str, Any] = field(default_factory=lambda: NO_EXTRA)

    @property
    def system(self) -> tuple[Message, ...]:
        """The opening instructions."""
        stop = 0
        while stop < len(self.messages) and self.messages[stop].role in ("system", "developer"):
            stop += 1
        return self.messages[:stop]

    def noted(self, *notes: str) -> Recording:
        """The same recording with remarks."""
        return replace(self, notes=(*self.notes, *notes)) if notes else self


def find_calls(said: Sequence[Said]) -> tuple[RecordedCall, ...]:
    """Where the recorded model was asked.

    An answer before the first request (a greeting), or right behind another answer, is nobody's:
    no model was asked for it.
    """
    calls: list[RecordedCall] = []
    asked = False
    for index, one in enumerate(said):
        is_answer = one.message.role == "assistant"
        if is_answer and asked and said[index - 1].message.role != "assistant":
            before = said[index - 1].at
            calls.append(RecordedCall(index, one.at if before is None else before, one.usage))
        asked = asked or one.message.is_request
    return tuple(calls)
