"""contextkit itself as a subject: a configuration that goes through a conversation, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from contextkit.backend import Backend
from contextkit.budget import Budget
from contextkit.call import Call
from contextkit.config import Config, read
from contextkit.dialects import parse_message
from contextkit.errors import ContextOverflow
from contextkit.manager import ContextManager
from contextkit.messages import Message
from contextkit.stores.memory import MemoryHistory
from contextkit.testing.conversations import Form, Wire
from contextkit.testing.counting import Count
from contextkit.testing.subjects import Subject
from contextkit.testing.wire import known_by
from contextkit.thread import Thread

ROOM = 1_000_000
"""Tokens of the stand-in model's window: the judged budget is what limits."""
KEPT = 4096
"""Messages that are not read again for the next subject."""


def managed(
    source: str | Path | Mapping[str, Any], *, form: Form = "openai", name: str = ""
) -> Subject:
    """The policies of a configuration, with the echo backend and a history in memory.

    Its budget is the one that is judged. Raises `ConfigError`.
    """
    from contextkit import __version__

    config = read(source)
    called = name or (
        f"contextkit {Path(source).name}" if isinstance(source, Path) else "contextkit"
    )
    config = config.model_copy(update={"backend": _backend(), "vectors": None})
    return Subject(called, lambda: _Conversation(config, form), __version__, stateful=True)


@lru_cache(maxsize=1)
def _backend() -> Backend:
    """One for all subjects, so that a message is counted once for all of them."""
    backend: Backend = read({"backend": {"kind": "echo", "context_window": ROOM}}).backend
    return backend


class _Messages:
    """Messages by what they say, so that each is read once for all subjects."""

    def __init__(self) -> None:
        self._known: dict[bytes, Message] = {}

    def read(self, message: Wire) -> Message:
        """The message in contextkit's own form. Raises `InvalidMessage`."""
        key = known_by(message)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[key] = parse_message(message)
        return found


_MESSAGES = _Messages()


class _Conversation:
    """One thread; what it was given before is appended no second time.

    A request that counts more in its provider's form than in the thread's is made once more, as
    `Thread.respond` does where a provider refuses it.
    """

    def __init__(self, config: Config, form: Form) -> None:
        self._config, self._form = config, form
        self._thread: Thread | None = None
        self._call: Call | None = None
        self._n_seen = 0

    def __call__(self, messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        thread = self._thread = self._thread or self._open(budget_tokens)
        new = [_MESSAGES.read(message) for message in messages[self._n_seen :]]
        self._n_seen = len(messages)
        call, self._call = self._call, None
        if call is not None and new[0].role == "assistant":
            thread.record(call, new.pop(0))
        thread.append(new)
        call = thread.assemble()
        written = self._written(call)
        if (tokens := count(written)) > budget_tokens:
            refusal = f"{tokens} tokens are sent, {budget_tokens} fit"
            call = thread.corrected(call, ContextOverflow(refusal, actual_tokens=tokens))
            written = self._written(call)
        self._call = call
        return written

    def _written(self, call: Call) -> list[Wire]:
        request = call.to_openai() if self._form == "openai" else call.to_anthropic()
        return list(request["messages"])

    def _open(self, budget_tokens: int) -> Thread:
        budget = Budget(window=budget_tokens + 1, reply_reserve=1)
        config = self._config.model_copy(update={"budget": budget, "history": MemoryHistory()})
        return ContextManager.from_config(config).thread("conversation")
