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
    found: list[str] = []
    pending: dict[str, int] = {}
    seen: set[str] = set()
    asking = said = False
    for index, message in enumerate(messages):
        calls, results, empty = message.pairing
        if empty:
            continue
        said = True
        ours = message.role == "assistant"
        if not (pending or calls or results) and message.role != "tool":
            asking = ours
            continue
        if pending and not results and not (ours and asking):
            _unanswered(pending, f"before messages.{index}", found)
        asking = ours
        if results:
            _answer(f"messages.{index}", message.role, results, pending, found)
        for call in calls:
            if call.id in seen:
                found.append(f"messages.{index}: call id {call.id!r} is used twice")
            seen.add(call.id)
            pending[call.id] = index
        if calls and not ours:
            found.append(f"messages.{index}: a {message.role} message holds a tool call")
        if message.role == "tool" and len(results) != len(message.parts):
            found.append(f"messages.{index}: a tool message holds more than results")
    if pending:
        _unanswered(pending, "at the end", found)
    if not said:
        found.append("messages: there is nothing to send")
    return found


def _answer(
    where: str,
    role: str,
    results: tuple[ToolResultPart, ...],
    pending: dict[str, int],
    found: list[str],
) -> None:
    if role not in ("tool", "user"):
        found.append(f"{where}: a {role} message holds a tool result")
    for result in results:
        if pending.pop(result.call_id, None) is None:
            found.append(f"{where}: no open call has the id {result.call_id!r}")


def _unanswered(pending: dict[str, int], where: str, found: list[str]) -> None:
    found += [f"messages.{i}: call {call!r} has no result {where}" for call, i in pending.items()]
    pending.clear()


def wire_problems(request: Mapping[str, Any], dialect: str) -> list[str]:
    """What the provider would refuse in this request, each with its place; empty where nothing.

    `dialect` is "openai" (Chat Completions), "anthropic" or "responses".
    """
    return _CHECKS[dialect](request)
