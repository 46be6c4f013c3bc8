"""The search keeps its constraints, improves on its start, holds recordings out, and can be resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from contextkit import replay
from contextkit.errors import ReplayError
from contextkit.replay.knobs import find_knobs, policy_rows
from contextkit.replay.tuning import Constraints, Memory, Tuned, Tuner, split, to_yaml

from .making import recordings

START = replay.Setup(
    "start",
    {
        "budget": {"window": 2000, "reply_reserve": 100},
        "policies": [
            {"kind": "sliding_window", "low_water": 0.85, "high_water": 0.9, "sinks": 4},
            "cacheable_prefix",
        ],
    },
)
RUNS = recordings(6, n_calls=24, size=10)


def _tune(
    provider: replay.Provider, constraints: Constraints, memory: Memory, trials: int
) -> Tuned:
    return Tuner(RUNS, provider, constraints, memory=memory).tune(START, max_trials=trials)


def test_it_finds_a_cheaper_setting_that_keeps_the_constraints(provider: replay.Provider) -> None:
    floor = Tuner(RUNS, provider, Constraints()).trial(START, split(RUNS)[0]).row["grounded"] - 0.15
    tuned = _tune(provider, Constraints(grounded=floor), Memory(), 60)
    assert tuned.best.row["cost"] < tuned.start.row["cost"] * 0.95
    assert tuned.best.violation == 0
    assert tuned.best.row["grounded"] >= floor
    assert tuned.moves
    assert tuned.held_out_best is not None
    assert tuned.held_out_start is not None
    assert tuned.held_out_best.row["runs"] == 2
    free = _tune(provider, Constraints(), Memory(), 60)
    assert free.best.row["cost"] <= tuned.best.row["cost"] * 1.01


def test_a_constraint_that_cannot_be_kept_is_missed_least(provider: replay.Provider) -> None:
    tuned = _tune(provider, Constraints(grounded=1.0), Memory(), 40)
    assert tuned.best.violation > 0
    assert tuned.best.violation <= tuned.start.violation


def test_a_search_goes_on_where_it_stood(provider: replay.Provider, tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    first = _tune(provider, Constraints(), Memory(path), 15)
    kept = path.read_text().splitlines()
    again = Memory(path)
    assert len(again.rows) == len(kept)
    second = _tune(provider, Constraints(), again, 15)
    assert path.read_text().splitlines() == kept, "nothing was replayed twice"
    assert second.best.setup == first.best.setup
    path.write_text("\n".join(kept)[:-20])
    torn = Memory(path)
    assert len(torn.rows) == len(kept) - 1
    _tune(provider, Constraints(), torn, 15)
    assert len(Memory(path).rows) == len(kept), "the torn line was written anew"


def test_what_was_replayed_is_known_by_all_that_it_goes_by(provider: replay.Provider) -> None:
    """Recordings of two files may have one id; times and the schedule change the figures too."""
    memory = Memory()

    def cost(run: replay.Recording, **fields: Any) -> float:
        setup = replay.Setup("start", {**START.fields, **fields})
        tuner = Tuner([run], provider, Constraints(), memory=memory)
        row = tuner.trial(setup, tuner.train).row
        assert (
            row["cost"] == replay.compare([run], [setup], provider).summaries[0].to_json()["cost"]
        )
        return float(row["cost"])

    run, other = RUNS[0], replace(RUNS[1], id=RUNS[0].id)
    paused = replace(run, calls=tuple(replace(c, at=n * 400.0) for n, c in enumerate(run.calls)))
    clearing = [
        {"kind": "tool_results", "keep_recent": 1, "high_water": 0, "min_gain": 0},
        "cacheable_prefix",
    ]
    wide: dict[str, Any] = {"budget": {"window": 9000}, "policies": clearing}
    costs = [cost(run), cost(other), cost(paused), cost(run, **wide)]
    costs.append(cost(run, **wide, schedule=None))
    assert len(set(costs)) == len(memory.rows) == 5
    tuner = Tuner([run, other], provider, Constraints(), memory=memory)
    both = {tuner.trial(START, [one]).row["cost"] for one in tuner.train}
    assert both == set(costs[:2])


def test_the_yaml_is_a_configuration(provider: replay.Provider, tmp_path: Path) -> None:
    tuned = _tune(provider, Constraints(), Memory(), 12)
    text = to_yaml(tuned, provider, Constraints())
    path = tmp_path / "tuned.yaml"
    path.write_text(text)
    loaded = replay.load_setup(path)
    assert policy_rows(loaded) == policy_rows(tuned.best.setup)
    assert "held out, after" in text
    assert f"{provider}" in text
    assert yaml.safe_load(text)["budget"] == START.fields["budget"]
    row = replay.compare(split(RUNS)[1], [loaded], provider).summaries[0].to_json()
    assert tuned.held_out_best is not None
    assert row["cost"] == pytest.approx(tuned.held_out_best.row["cost"])


def test_the_split_is_stable_and_complete() -> None:
    train, held = split(RUNS)
    assert {r.id for r in train} | {r.id for r in held} == {r.id for r in RUNS}
    assert len(held) == 2
    assert not {r.id for r in train} & {r.id for r in held}
    turned = split(list(reversed(RUNS)))
    assert {r.id for r in turned[1]} == {r.id for r in held}
    assert split(RUNS[:1]) == (RUNS[:1], [])
    with pytest.raises(ReplayError, match="nothing to tune on"):
        split([])


def test_knobs_stay_within_their_fields() -> None:
    setup = replay.Setup("s", {"policies": ["tool_results", "sliding_window", "cacheable_prefix"]})
    knobs = {str(knob): knob for knob in find_knobs(setup)}
    water = knobs["policies.1.high_water"]
    assert all(isinstance(v, float) and 0 < v <= 1 for v in water.neighbours)
    assert water.value not in water.neighbours
    assert knobs["policies.0.keep_recent"].neighbours == (2, 4, 6)
    assert knobs["policies.0.deduplicate"].neighbours == (False,)
    assert "1h" in knobs["policies.2.ttl"].neighbours
    for knob in knobs.values():
        for value in knob.neighbours:
            assert policy_rows(knob.set(setup, value))[knob.policy][knob.field] == value
    assert policy_rows(setup)[0] == {"kind": "tool_results"}, "the start is not changed"
