"""A recorded conversation played again: a call is assembled wherever the recorded model was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from contextkit.call import Call
from contextkit.ledger import Ledger
from contextkit.messages import Message
from contextkit.thread import Thread


@dataclass(frozen=True)
class ReplayedTurn:
    """One call of the replay, and its ledger once the recorded answer was put behind it."""

    call: Call
    ledger: Ledger
    n_before: int
    """Messages of the conversation that were said before this call."""


def is_answer(message: Message) -> bool:
    """Whether a model said this."""
    return message.role == "assistant"


def replay(
    thread: Thread, messages: Sequence[Message], *, tools: Sequence[Any] = ()
) -> Iterator[ReplayedTurn]:
    """Append what was said; at each recorded answer assemble the call and record that answer.

    An answer before the first request (a greeting), or right behind another answer, is only
    appended: nobody was asked. Nothing is sent.
    """
    asked = False
    for index, message in enumerate(messages):
        if is_answer(message) and asked and not is_answer(messages[index - 1]):
            call = thread.assemble(tools=tools)
            yield ReplayedTurn(call, thread.record(call, message), index)
        else:
            thread.append(message)
        asked = asked or message.is_request
