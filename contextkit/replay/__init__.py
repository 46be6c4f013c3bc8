"""Recorded conversations played again under other configurations, before anyone pays for them.

    from contextkit import replay

    reading = replay.read("runs.jsonl")
    provider = replay.find_provider("anthropic:claude-sonnet-4-6")
    setups = [replay.everything(), replay.load_setup("agent.yaml")]
    comparison = replay.compare(reading.recordings, setups, provider)
    print(comparison.to_json())

Nothing is sent and nothing is stored.
"""

from __future__ import annotations

from contextkit.config import DEFAULT_POLICIES
from contextkit.replay.comparing import Comparison, compare, hold_against_recorded, run
from contextkit.replay.loop import Replayer
from contextkit.replay.outcome import Outcome, ReplayedCall
from contextkit.replay.provider import Provider, find_provider
from contextkit.replay.readers import Reading, read
from contextkit.replay.recording import Question, RecordedCall, Recording
from contextkit.replay.setup import Setup, everything, load_setup

__all__ = [
    "DEFAULT_POLICIES",
    "Comparison",
    "Outcome",
    "Provider",
    "Question",
    "Reading",
    "RecordedCall",
    "Recording",
    "ReplayedCall",
    "Replayer",
    "Setup",
    "compare",
    "everything",
    "find_provider",
    "hold_against_recorded",
    "load_setup",
    "read",
    "run",
]
