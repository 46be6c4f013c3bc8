"""The one scenario every framework adapter goes through, and what must hold at the provider.

A framework's agent with two tools is asked question after question under a 4k window; its model is the
local provider. `check` then compares what the provider saw with what contextkit recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from contextkit.ledger import Ledger
from contextkit.manager import ContextManager
from contextkit.wire_rules import openai as openai_rules
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of, question, result
from tests.fakes.provider import FakeProvider, Seen

MODEL = "gpt-4o"
SYSTEM = "You are a careful researcher."
QUICK, SLOW = 16, 200
TOOLS = ("look_up", "weigh")
BOTH = 3
"""Every third question makes the provider call both tools at once."""


def look_up(topic: str) -> str:
    """To look up a topic."""
    return result("look_up", json.dumps({"topic": topic}))


def weigh(topic: str, how: str) -> str:
    """To weigh a topic."""
    return result("weigh", json.dumps({"topic": topic, "how": how}))


def run_tool(name: str, arguments: dict[str, Any]) -> str:
    """A tool's answer, for loops that dispatch by name."""
    return look_up(**arguments) if name == "look_up" else weigh(**arguments)


def ready(provider: FakeProvider) -> FakeProvider:
    """The provider as the scenario wants it: an agent's answers, a window it insists on."""
    provider.respond = agent
    provider.window = WINDOW
    return provider


def made(*policies: Any, history: Any = "memory") -> ContextManager:
    """A manager of the scenario's window that counts like the provider."""
    backend = {"kind": "openai", "model": MODEL, "api_key": "k"}
    return manager_of(backend, *policies, history=history)


def questions(n_turns: int) -> Iterator[str]:
    """What is asked; every one names its number."""
    return (question(number) for number in range(n_turns))


def ledgers(manager: ContextManager) -> list[Ledger]:
    """The recorded turns of the only thread there is."""
    (record,) = manager.threads()
    return manager.thread(record.name).turns()


def check(provider: FakeProvider, manager: ContextManager, n_turns: int) -> list[Ledger]:
    """No refusal, the newest request always there, an honest prefix, the provider's own usage."""
    seen = provider.seen
    assert [s.status for s in seen] == [200] * len(seen), [s for s in seen if s.status != 200][:1]
    assert len(seen) == 2 * n_turns
    turns = ledgers(manager)
    assert len(turns) == len(seen)
    for index, (request, turn) in enumerate(zip(seen, turns, strict=True)):
        broken = openai_rules.problems(
            {name: request.body[name] for name in ("messages", "tools") if name in request.body}
        )
        assert not broken, broken
        texts = json.dumps(request.body["messages"])
        assert json.dumps(question(index // 2))[1:-1].rstrip() in texts
        assert turn.usage is not None
        assert turn.usage.input_tokens == request.usage["prompt_tokens"]
        assert turn.usage.output_tokens == request.usage["completion_tokens"]
        assert turn.upper_tokens <= WINDOW - RESERVE
    check_prefix(seen, turns)
    if n_turns >= QUICK:
        assert any(list(turn.left_out) for turn in turns), "the window was never reached"
    assert manager.verify() == []
    return turns


def check_prefix(seen: Sequence[Seen], turns: Sequence[Ledger]) -> None:
    """The provider sees an earlier request repeated exactly where the ledger says so."""
    for (earlier, later), turn in zip(pairwise(seen), turns[1:], strict=True):
        before, now = earlier.body["messages"], later.body["messages"]
        told_anew = earlier.body.get("tools") != later.body.get("tools")
        assert (told_anew or now[: len(before)] != before) == turn.prefix.moved


def check_cached(provider: FakeProvider, manager: ContextManager) -> None:
    """Every request to Claude marks where to cache, and most of what was sent is read from there."""
    assert not provider.refused
    turns = ledgers(manager)
    assert len(turns) == len(provider.seen)
    assert all("cache_control" in json.dumps(seen.body) for seen in provider.seen)
    for seen, turn in zip(provider.seen, turns, strict=True):
        assert turn.usage is not None
        assert turn.usage.cache_read_tokens == seen.usage["cache_read_input_tokens"]
    read = sum(seen.usage["cache_read_input_tokens"] for seen in provider.seen)
    fresh = sum(seen.usage["input_tokens"] for seen in provider.seen)
    assert read > 5 * fresh
