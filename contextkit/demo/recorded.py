"""The shipped recording: a customer-service agent that downgrades six reservations, 30 model calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from contextkit.demo.replay import ReplayedTurn, is_answer, replay
from contextkit.demo.ways import Way, by_contextkit, other_ways
from contextkit.dialects import parse_messages
from contextkit.inspector import thread_json
from contextkit.manager import ContextManager
from contextkit.messages import Message

PROVIDER, MODEL = "anthropic", "claude-sonnet-4-5"
WINDOW, RESERVE = 4096, 512
CONFIG: dict[str, Any] = {
    "backend": {"kind": "echo", "provider": PROVIDER, "model": MODEL, "dialect": "anthropic"},
    "budget": {"window": WINDOW, "reply_reserve": RESERVE},
    "history": "memory",
    "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
}


@dataclass(frozen=True)
class Recorded:
    """The replay and what the same run costs in other ways; contextkit is the first of `ways`."""

    source: str
    n_messages: int
    window: int
    provider: str
    model: str
    prices_as_of: date | None
    turns: tuple[ReplayedTurn, ...]
    ways: tuple[Way, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "source": self.source,
            "messages": self.n_messages,
            "window": self.window,
            "provider": self.provider,
            "model": self.model,
            "prices_as_of": str(self.prices_as_of) if self.prices_as_of else None,
            "prices": "simulated by the dated rules file, input only; no provider was asked",
            "ways": [asdict(way) for way in self.ways],
            **thread_json("demo", "default", [turn.ledger for turn in self.turns]),
        }


def load_recording() -> tuple[str, list[Message]]:
    """What it is and its messages."""
    path = files("contextkit") / "data" / "demo" / "airline_downgrades.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    return f"{value['source']}, run {value['id']}", parse_messages(value["messages"])


def run_replay(
    *,
    n_calls: int | None = None,
    messages: Sequence[Message] | None = None,
    on_turn: Callable[[ReplayedTurn], None] = lambda turn: None,
) -> Recorded:
    """Replay the recording (or `messages`), at most `n_calls` calls of it."""
    source, recorded = load_recording()
    said = _first_calls(recorded if messages is None else messages, n_calls)
    with ContextManager(**CONFIG) as manager:
        turns: list[ReplayedTurn] = []
        for turn in replay(manager.thread("demo"), said):
            turns.append(turn)
            on_turn(turn)
        points = [turn.n_before for turn in turns]
        ways = (by_contextkit(manager, turns), *other_ways(manager, said, points))
        as_of = manager.rule.as_of if manager.rule else None
    return Recorded(source, len(said), WINDOW, PROVIDER, MODEL, as_of, tuple(turns), ways)


def _first_calls(messages: Sequence[Message], n_calls: int | None) -> Sequence[Message]:
    answers = [index for index, message in enumerate(messages) if is_answer(message)]
    if n_calls is None or n_calls >= len(answers):
        return messages
    return messages[: answers[n_calls - 1] + 1]
