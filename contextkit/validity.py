"""Whether a conversation, or a request made from it, is one that providers accept.

`problems` is the guard over contextkit's own messages, run at every seal. `wire_problems` judges a
finished request the way its provider does; it shares no code with what makes requests, so that each
checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contextkit.messages import Message, ToolResultPart
from contextkit.wire_rules import anthropic, openai, responses

_CHECKS = {
    "openai": openai.problems,
    "anthropic": anthropic.problems,
    "responses": responses.problems,
}


def problems(messages: Sequence[Message]) -> list[str]:
    """What is wrong with the conversation, each with its place; empty where nothing is.

    Every call is answered once, directly behind its batch (a run of assistant messages), and no
    call id is used twice. Messages with nothing to send count as absent.
    """
    pairing = Pairing()
    pairing.read(messages)
    return pairing.problems()


class Pairing:
    """How far a conversation was read: calls that wait, ids that were used, what was wrong.

    A call that repeats the one before and goes on is read from there, on a copy.
    """

    __slots__ = ("_asking", "_found", "_n_read", "_pending", "_said", "_seen")

    def __init__(self) -> None:
        self._n_read = 0
        self._found: list[str] = []
        self._pending: dict[str, int] = {}
        self._seen: set[str] = set()
        self._asking = self._said = False

    def copy(self) -> Pairing:
        """The same place in the same conversation, to be read on apart."""
        new = Pairing()
        new._n_read, new._asking, new._said = self._n_read, self._asking, self._said
        new._found, new._pending = self._found.copy(), self._pending.copy()
        new._seen = self._seen.copy()
        return new

    def read(self, messages: Sequence[Message]) -> None:
        """The next messages of the conversation."""
        found, pending, seen = self._found, self._pending, self._seen
        asking, said = self._asking, self._said
        for index, message in enumerate(messages, self._n_read):
            calls, results, empty = message.pairing
            if empty:
                continue
            said = True
            ours = message.role == "assistant"
            if not (pending or calls or results) and message.role != "tool":
                asking = ours
                continue
            if pending and not results and not (ours and asking):
                found += _unanswered(pending, f"before messages.{index}")
                pending.clear()
            asking = ours
            if results:
                _answer(index, message.role, results, pending, found)
            for call in calls:
                if call.id in seen:
                    found.append(f"messages.{index}: call id {call.id!r} is used twice")
                seen.add(call.id)
                pending[call.id] = index
            if calls and not ours:
                found.append(f"messages.{index}: a {message.role} message holds a tool call")
            if message.role == "tool" and len(results) != len(message.parts):
                found.append(f"messages.{index}: a tool message holds more than results")
        self._n_read += len(messages)
        self._asking, self._said = asking, said

    def problems(self) -> list[str]:
        """What is wrong if the conversation ends here."""
        found = [*self._found, *_unanswered(self._pending, "at the end")]
        return found if self._said else [*found, "messages: there is nothing to send"]


def _answer(
    index: int,
    role: str,
    results: tuple[ToolResultPart, ...],
    pending: dict[str, int],
    found: list[str],
) -> None:
    if role not in ("tool", "user"):
        found.append(f"messages.{index}: a {role} message holds a tool result")
    for result in results:
        if pending.pop(result.call_id, None) is None:
            found.append(f"messages.{index}: no open call has the id {result.call_id!r}")


def _unanswered(pending: Mapping[str, int], where: str) -> list[str]:
    return [f"messages.{i}: call {call!r} has no result {where}" for call, i in pending.items()]


def wire_problems(request: Mapping[str, Any], dialect: str) -> list[str]:
    """What the provider would refuse in this request, each with its place; empty where nothing.

    `dialect` is "openai" (Chat Completions), "anthropic" or "responses".
    """
    return _CHECKS[dialect](request)
