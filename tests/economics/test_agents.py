"""Recorded agent runs under the agent stack: what they cost, and what stays within the model's reach.

Cost is of the input, over the same history sent whole and uncached, by Anthropic's five-minute rules.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contextkit.replay.comparing import compare
from contextkit.replay.provider import find_provider
from contextkit.replay.readers import read
from contextkit.replay.recording import Recording
from contextkit.replay.setup import Setup

SHARED = Path(os.environ.get("CONTEXTKIT_SHARED", Path(__file__).parents[2].parent / "shared"))
AGENT: list[Any] = [
    {"kind": "tool_results", "high_water": 1.0, "min_gain": 1.0},
    "read_once",
    {"kind": "sliding_window", "low_water": 0.2},
    "left_out_note",
    "cacheable_prefix",
]


def recordings(name: str, most: int | None = None) -> Sequence[Recording]:
    path = SHARED / "data" / "agents" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the recorded runs {path.name} are not here (CONTEXTKIT_SHARED)")
    return read(path).recordings[:most]


def figures(runs: Sequence[Recording], policies: list[Any], window: int, reserve: int = 1) -> Any:
    budget = {"window": window, "reply_reserve": reserve}
    setup = Setup("tried", {"policies": policies, "budget": budget})
    provider = find_provider("anthropic:claude-sonnet-4-5", tokenizer="cl100k_base")
    found = compare(runs, [setup], provider).summaries[0].to_json()
    assert found["invalid"] == found["refused"] == 0
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "reserve", "cost", "grounded"),
    [
        (8000, 1, 0.11, 0.87),
        (8000, 1000, 0.11, 0.87),
        (16000, 1, 0.14, 0.96),
        (16000, 2000, 0.14, 0.96),
    ],
)
def test_a_coding_agent(window: int, reserve: int, cost: float, grounded: float) -> None:
    found = figures(recordings("sweagent_claude4_dev"), AGENT, window, reserve)
    assert found["cost"] <= cost
    assert found["grounded"] >= grounded
    assert found["reachable"] >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("window", [8000, 16000, 32000])
@pytest.mark.parametrize("name", ["tau_gpt4o_airline", "tau2_gptoss120b_airline"])
def test_short_runs_are_never_dearer_than_the_whole_history(name: str, window: int) -> None:
    runs = recordings(name, 40)
    found = figures(runs, AGENT, window)
    assert found["cost"] <= figures(runs, ["cacheable_prefix"], 1 << 24)["cost"]
    assert found["grounded"] == found["reachable"] == 1


@pytest.mark.slow
def test_clearing_every_turn_is_scheduled_below_the_whole_history() -> None:
    runs = recordings("sweagent_claude4_dev")
    hasty = {"kind": "tool_results", "keep_recent": 5, "high_water": 0.0, "min_gain": 0.0}
    found = figures(runs, [hasty, "cacheable_prefix"], 1 << 18)
    assert found["cost"] <= figures(runs, ["cacheable_prefix"], 1 << 18)["cost"]
