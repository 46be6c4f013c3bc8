"""The instructions that a call opens with, where they are not those that its thread began with.

Agents put the date, a memory or a mode into their system prompt and change it as they go. The log keeps
what was said first; the call shows what holds now, from this turn on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contextkit.dialects import parse_messages
from contextkit.draft import Draft
from contextkit.errors import InvalidMessage
from contextkit.log_view import leading_system
from contextkit.messages import Message, text_message
from contextkit.piece import Piece

KIND = "instructions"
"""What the ledger names as the cause of such a change."""
ROLES = ("system", "developer")


def parse_instructions(value: Any) -> list[Message]:
    """Messages of the system's or the developer's role; a string is one of the system's."""
    if isinstance(value, str):
        return [text_message("system", value)] if value.strip() else []
    parsed = parse_messages(value)
    for index, message in enumerate(parsed):
        if message.role not in ROLES:
            raise InvalidMessage(f"system.{index}.role: {message.role!r}; must be {ROLES[0]!r}")
    return parsed


def instructions_of(messages: Sequence[Message]) -> list[Message]:
    """The system's and developer's messages that a history opens with."""
    opening: list[Message] = []
    for message in messages:
        if message.role not in ROLES:
            break
        opening.append(message)
    return opening


def is_instruction(piece: Piece) -> bool:
    """Whether a piece shows later instructions in place of those that open the log."""
    return piece.policy == KIND and not piece.is_log and not piece.is_inserted


def instructed(draft: Draft, system: Sequence[Message]) -> Draft:
    """The draft opening with `system`, committed with the turn; the same one where it does already."""
    stop = leading_system(draft.log)
    if not stop:
        return _put_first(draft, system)
    opening = [piece for piece in draft.pieces if piece.start < stop]
    if _are_same([m for piece in opening for m in draft.shown(piece)], system):
        return draft
    if _are_same([entry.message for entry in draft.log.entries(0, stop)], system):
        why = "the first instructions stand again"
        return draft.keep(0, stop, policy=KIND, why=why, section="system", pinned=True)
    why = "later instructions stand in place of the first"
    return draft.replace(
        0, stop, system, policy=KIND, why=why, section="system", even_protected=True
    )


def _put_first(draft: Draft, system: Sequence[Message]) -> Draft:
    """For a log that opens without instructions."""
    earlier = [p for p in draft.pieces if p.is_inserted and p.policy == KIND]
    if earlier and _are_same(earlier[0].shown or (), system):
        return draft
    for piece in earlier:
        draft = draft.remove(piece)
    why = "instructions that the thread did not begin with"
    return draft.insert(0, system, section="system", policy=KIND, why=why, sticky=True)


def _are_same(left: Sequence[Message], right: Sequence[Message]) -> bool:
    return [message.digest for message in left] == [message.digest for message in right]
