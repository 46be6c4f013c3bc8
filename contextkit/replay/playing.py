"""A recorded conversation played into a thread of a store, turn by turn, as if it happened now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from contextkit.ledger import Ledger
from contextkit.messages import Message
from contextkit.replay.recording import Said, find_calls
from contextkit.thread import Thread


def play(
    thread: Thread, messages: Sequence[Message], *, tools: Sequence[Any] = ()
) -> Iterator[Ledger]:
    """Append what was said; where a model was asked, assemble the call and record its answer.

    Gives the ledger of each call. Nothing is sent.
    """
    asked = {call.n_before for call in find_calls([Said(message) for message in messages])}
    for index, message in enumerate(messages):
        if index in asked:
            yield thread.record(thread.assemble(tools=tools), message)
        else:
            thread.append(message)
