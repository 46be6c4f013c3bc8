"""contextkit itself as a subject: a configuration that goes through a conversation, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contextkit.call import Call
from contextkit.config import read
from contextkit.errors import ContextOverflow
from contextkit.manager import ContextManager
from contextkit.testing.conversations import Form, Wire
from contextkit.testing.counting import Count
from contextkit.testing.subjects import Subject
from contextkit.thread import Thread

ROOM = 1_000_000
"""Tokens of the stand-in model's window: the judged budget is what limits."""


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
    rows: dict[str, Any] = {
        "policies": list(config.policies),
        "embedder": config.embedder,
        "schedule": config.schedule,
    }
    return Subject(called, lambda: _Conversation(rows, form), __version__, stateful=True)


class _Conversation:
    """One thread; what it was given before is appended no second time.

    A request that counts more in its provider's form than in the thread's is made once more, as
    `Thread.respond` does where a provider refuses it.
    """

    def __init__(self, rows: Mapping[str, Any], form: Form) -> None:
        self._rows, self._form = rows, form
        self._thread: Thread | None = None
        self._call: Call | None = None
        self._n_seen = 0

    def __call__(self, messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        thread = self._thread = self._thread or self._open(budget_tokens)
        new = messages[self._n_seen :]
        self._n_seen = len(messages)
        call, self._call = self._call, None
        if call is not None and new[0].get("role") == "assistant":
            thread.record(call, new.pop(0))
        thread.append(new)
        call = thread.assemble()
        if (tokens := count(self._written(call))) > budget_tokens:
            refusal = f"{tokens} tokens are sent, {budget_tokens} fit"
            call = thread.corrected(call, ContextOverflow(refusal, actual_tokens=tokens))
        self._call = call
        return self._written(call)

    def _written(self, call: Call) -> list[Wire]:
        request = call.to_openai() if self._form == "openai" else call.to_anthropic()
        return list(request["messages"])

    def _open(self, budget_tokens: int) -> Thread:
        manager = ContextManager(
            {"kind": "echo", "context_window": ROOM},
            budget={"window": budget_tokens + 1, "reply_reserve": 1},
            **self._rows,
        )
        return manager.thread("conversation")
