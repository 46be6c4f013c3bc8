"""What the peers share: their description, and the way back from their messages to the caller's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.laws import texts
from contextkit.testing.subjects import Trim

SUMMARY = "The user asked and the agent answered; nothing is open."
"""What the stand-in for a summarising model writes."""


@dataclass(frozen=True)
class Peer:
    """A trimmer of another package: its name here, its package, and how it is made for a conversation."""

    name: str
    package: str
    module: str
    make: Callable[[], Trim]
    about: str


class Origins:
    """Which of the caller's messages a peer's own message stands for."""

    def __init__(self) -> None:
        self._of: dict[Hashable, list[Wire]] = {}

    def put(self, key: Hashable, *messages: Wire) -> None:
        """`key` stands for these messages."""
        self._of[key] = list(messages)

    def back(self, key: Hashable, made: Any, write: Callable[[Any], list[Wire]]) -> list[Wire]:
        """The messages behind a key; what the peer `made` itself is written in the caller's form."""
        found = self._of.get(key)
        return write(made) if found is None else found


def apart(
    messages: Sequence[Wire], budget_tokens: int, count: Count
) -> tuple[list[Wire], list[Wire], int]:
    """The opening system messages, the rest, and the budget that they leave."""
    n = 0
    while n < len(messages) and messages[n]["role"] in ("system", "developer"):
        n += 1
    opening, rest = list(messages[:n]), list(messages[n:])
    return opening, rest, max(1, budget_tokens - (count(opening) if opening else 0))


def batches(messages: Sequence[Wire]) -> list[list[Wire]]:
    """The messages with the results of one batch of calls together, as some packages keep them."""
    out: list[list[Wire]] = []
    for message in messages:
        if message["role"] == "tool" and out and out[-1][0]["role"] == "tool":
            out[-1].append(message)
        else:
            out.append([message])
    return out


def text_of(message: Wire) -> str:
    """The text of a message, its blocks one after another."""
    return "\n".join(texts(message))


def load(module: str) -> Any:
    """A module of a peer, untyped on purpose."""
    return import_module(module)


def wait(made: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of an async peer, from one event loop that all of them share."""
    return asyncio.run_coroutine_threadsafe(made, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="peers", daemon=True).start()
    return loop


@cache
def encoder() -> Callable[[str], list[int]]:
    """o200k_base, for packages that take a tokenizer of texts."""
    from contextkit.tokens.rank_files import load_encoding

    return load_encoding("o200k_base").encode_ordinary
