"""The shipped recording: a customer-service agent that downgrades six reservations, 30 model calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.resources import files
from typing import Any

from contextkit.demo.ways import Way, trimmed, way_of
from contextkit.dialects import parse_messages
from contextkit.inspector import thread_json
from contextkit.ledger import Ledger
from contextkit.messages import Message
from contextkit.replay import (
    Outcome,
    Recording,
    Replayer,
    Setup,
    everything,
    find_provider,
)
from contextkit.replay.recording import Said, find_calls

PROVIDER, MODEL = "anthropic", "claude-sonnet-4-6"
WINDOW, RESERVE = 4096, 512
SETUP = Setup(
    "contextkit",
    {
        "budget": {"window": WINDOW, "reply_reserve": RESERVE},
        "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
    },
)


@dataclass(frozen=True)
class Recorded:
    """The replay and what the same run costs in other ways; contextkit is the first of `ways`."""

    source: str
    n_messages: int
    window: int
    provider: str
    model: str
    prices_as_of: date | None
    ledgers: tuple[Ledger, ...]
    """Of contextkit's calls, each with what the simulated cache made of it."""
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
            **thread_json("demo", "default", self.ledgers),
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
    on_turn: Callable[[Ledger], None] = lambda ledger: None,
) -> Recorded:
    """Replay the recording (or `messages`), at most `n_calls` calls of it."""
    source, recorded = load_recording()
    recording = _first_calls(recorded if messages is None else messages, n_calls)
    provider = find_provider(f"{PROVIDER}:{MODEL}", tokenizer="estimate")
    replayer = Replayer(provider, keep_ledgers=True)
    ours, whole = (_outcome(replayer, recording, setup) for setup in (SETUP, everything()))
    ledgers = _ledgers(ours)
    for ledger in ledgers:
        on_turn(ledger)
    limit = WINDOW - RESERVE
    ways = (
        way_of(ours, limit),
        replace(way_of(whole, limit, is_cached=False), name="everything, uncached"),
        way_of(whole, limit),
        trimmed(recording, provider, limit, [call.at for call in whole.calls]),
    )
    as_of, n_messages = provider.rule.as_of, len(recording.messages)
    return Recorded(source, n_messages, WINDOW, PROVIDER, MODEL, as_of, ledgers, ways)


def _outcome(replayer: Replayer, recording: Recording, setup: Setup) -> Outcome:
    with setup.manager(replayer.provider) as manager:
        return replayer.run(recording, manager, setup.name)


def _ledgers(outcome: Outcome) -> tuple[Ledger, ...]:
    """The ledgers as a thread that was billed so would hold them."""
    kept = [(call.ledger, call) for call in outcome.calls]
    return tuple(
        ledger.closed(turn, call.usage, call.input_usd)
        for turn, (ledger, call) in enumerate(kept, start=1)
        if ledger is not None
    )


def _first_calls(messages: Sequence[Message], n_calls: int | None) -> Recording:
    calls = find_calls([Said(message) for message in messages])[:n_calls]
    if n_calls is not None and calls:
        messages = messages[: calls[-1].n_before + 1]
    return Recording("demo", "openai", tuple(messages), calls)
