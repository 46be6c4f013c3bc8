"""The simulated bill against what real runs were billed (SWE-agent, Claude Sonnet 4, cached)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contextkit import replay
from contextkit.replay.bills import hold_against_recorded

from .making import PROVIDER

SCHEMA_TOKENS = 1400
"""Three tools and the provider's own words about tools, which no transcript holds."""


@pytest.mark.slow
def test_against_recorded_dollars(
    shared_agents: Path, record_property: Callable[[str, object], None]
) -> None:
    runs = replay.read(shared_agents / "sweagent_claude4_dev.jsonl.gz").recordings
    provider = replay.find_provider(PROVIDER, tokenizer="estimate")
    found = replay.compare(runs, [replay.everything()], provider, schema_tokens=SCHEMA_TOKENS)
    held = hold_against_recorded(found.summaries[0].outcomes)
    assert held is not None
    record_property("recorded dollars", held.to_json())
    assert held.runs == 20
    assert held.correlation is not None
    assert held.correlation >= 0.97
    assert 0.75 <= held.level <= 1.15
    assert 0.85 <= held.held_out_level <= 1.15
