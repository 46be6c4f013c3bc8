"""Compact on request: where the model called `compact`, what does not bear on its focus leaves.

The request is the call itself, which stands in the log with its arguments, so nothing is kept beside it and
the same log gives the same call. Batches leave whole; the first request, what is pinned and everything from
the request on under which the model asked stay. The model is offered the tool by `contextkit.agent_tools`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, cast

from pydantic import Field

from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.log_view import leading_system
from contextkit.messages import Message
from contextkit.policy import Policy, Stage, Turn
from contextkit.recall.words import terms


class CompactOnRequest(Policy):
    """Drop older history that shares no word with the focus of the model's newest `compact` call."""

    kind: ClassVar[str] = "compact_on_request"
    stage: ClassVar[Stage] = Stage.SHRINK

    tool: str = Field(default="compact", min_length=1, description="The tool's name")
    keep_task: bool = Field(default=True, description="Keep the first user request")

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Moves the prefix once, at the oldest message that leaves; again only for a newer call."""
        asked = self._asked(draft)
        if asked is None:
            return draft
        entry, focus = asked
        why = f"the model asked at m{entry.seq} to keep {focus!r}" if focus else ""
        why = why or f"the model asked at m{entry.seq} for room"
        words = set(terms(focus))
        start = leading_system(draft.log)
        stop = draft.log.entry(entry.request).group if entry.request >= 0 else entry.group
        spare = draft.log.entry(turn.task).group if self.keep_task and turn.task >= 0 else -1
        for low, high in list(_joined(_leaving(draft, start, stop, spare, words))):
            draft = draft.drop(low, high, policy=self.kind, why=why)
        return draft

    def _asked(self, draft: Draft) -> tuple[Entry, str] | None:
        """The newest call of the tool that is shown, and its focus."""
        for piece in reversed(draft.pieces):
            if not piece.is_log:
                continue
            for entry in reversed(draft.log.entries(piece.start, piece.stop)):
                for call in reversed(entry.message.tool_calls):
                    if call.name == self.tool:
                        return entry, _focus(call.arguments)
        return None


def _focus(arguments: str) -> str:
    try:
        value: Any = json.loads(arguments or "{}")
    except ValueError:
        return ""
    if not isinstance(value, dict):
        return ""
    focus = cast("dict[str, Any]", value).get("focus")
    return " ".join(focus.split()) if isinstance(focus, str) else ""


def _leaving(
    draft: Draft, start: int, stop: int, spare: int, words: set[str]
) -> Iterator[tuple[int, int]]:
    """Groups, or pieces that were replaced whole, that share no word with the focus."""
    for piece, low, high in draft.free(start, stop):
        if not piece.is_log:
            if high <= stop and not _bears(draft.shown(piece), words):
                yield low, high
            continue
        for first, last in _groups(draft.log.entries(low, min(high, stop))):
            said = [e.message for e in draft.log.entries(first, last)]
            if first != spare and not _bears(said, words):
                yield first, last


def _groups(entries: list[Entry]) -> Iterator[tuple[int, int]]:
    """Neighbouring entries of one atomic group as ranges."""
    start = 0
    for at in range(1, len(entries) + 1):
        if at == len(entries) or entries[at].group != entries[start].group:
            yield entries[start].seq, entries[at - 1].seq + 1
            start = at


def _bears(messages: Any, words: set[str]) -> bool:
    """Whether the messages share a word with the focus."""
    return any(words & set(terms(_words_of(message))) for message in messages)


def _words_of(message: Message) -> str:
    asked = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join([*asked, message.text])


def _joined(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbouring ranges as one."""
    last: tuple[int, int] | None = None
    for low, high in ranges:
        if last is not None and last[1] == low:
            last = last[0], high
            continue
        if last is not None:
            yield last
        last = low, high
    if last is not None:
        yield last
