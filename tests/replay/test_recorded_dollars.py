"""The simulated bill against what real runs were billed (SWE-agent, Claude Sonnet 4, cached)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contextkit import replay

from .making import PROVIDER


@pytest.mark.slow
def test_against_recorded_dollars(
    shared_agents: Path, record_property: Callable[[str, object], None]
) -> None:
    runs = replay.read(shared_agents / "sweagent_claude4_dev.jsonl.gz").recordings
    held = replay.hold_against_recorded(runs, replay.find_provider(PROVIDER))
    assert held is not None
    record_property("recorded dollars", held.to_json())
    assert held.runs == 20
    assert held.correlation is not None
    assert held.correlation >= 0.97
    assert 0.85 <= held.level <= 1.15
    assert 0.7 <= held.unlearned_level <= 1.15
