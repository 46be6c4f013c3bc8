"""What the tests of the tools share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import contextkit
from contextkit import ContextManager, Thread, plugins
from contextkit_policies.compact_on_request import CompactOnRequest

POLICIES: list[Any] = [
    "compact_on_request",
    {"kind": "sliding_window", "sinks": 0, "keep_task": False},
    "cacheable_prefix",
]


def say(thread: Thread, *texts: str) -> None:
    """The user says one thing after another."""
    thread.append([{"role": "user", "content": text} for text in texts])


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy that `compact` needs, wherever it is installed from."""
    monkeypatch.setattr(plugins, "_registered", dict(plugins._registered))
    plugins.register("policies", CompactOnRequest)


@pytest.fixture
def cm() -> Iterator[ContextManager]:
    """A manager with a window of 2,000 tokens."""
    with contextkit.load(
        {"budget": {"window": 2000, "reply_reserve": 200}, "policies": POLICIES}
    ) as manager:
        yield manager


@pytest.fixture
def thread(cm: ContextManager) -> Thread:
    """A thread of 60 exchanges, whose beginning has left the window."""
    made = cm.thread("talk")
    for n in range(60):
        made.append(f"What about shipment {n}? " + "It was announced last week. " * 4)
        made.append(
            {"role": "assistant", "content": f"Shipment {n} stands in hall {n % 7}, bay {n * 3}."}
        )
    made.append("And the first one?")
    return made
