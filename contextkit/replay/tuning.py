"""A search for cheaper settings: one field at a time, tried on few recordings before on many.

Coordinate descent whose steps are raced: the neighbours of a field's value are replayed on a sample
of the recordings, the better half of them on the rest. What breaks a constraint is worse than whatever
keeps it, however cheap. Some recordings are held out; the result is reported on them as well, since a
setting that was chosen on the others is flattered by them. Every replay is written to a file as it is
done, so that a search which was stopped goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contextkit.errors import ConfigError, ReplayError
from contextkit.replay.comparing import check_currency
from contextkit.replay.knobs import Knob, Value, find_knobs
from contextkit.replay.loop import CADENCE_S, Replayer
from contextkit.replay.outcome import figures
from contextkit.replay.provider import Provider
from contextkit.replay.recording import Recording
from contextkit.replay.setup import Setup

SAMPLE = 4
"""One in so many recordings is replayed before the others are."""
MIN_GAIN = 0.001
"""A cost that is lower by less than this share is no reason to move."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a setting must keep; shares of the recorded tool calls, of questions, of calls."""

    grounded: float = 0.0
    reachable: float = 0.0
    evidence: float = 0.0
    refused: float = 0.0
    """The largest share of calls that may be refused or invalid."""

    def violation(self, row: Mapping[str, Any]) -> float:
        """By how much the constraints are missed together; 0 where all are kept."""
        missed = 0.0
        for wanted, name in (
            (self.grounded, "grounded"),
            (self.reachable, "reachable"),
            (self.evidence, "evidence"),
        ):
            value: float | None = row[name]
            if value is not None:
                missed += max(0.0, wanted - value)
        bad: float = (row["refused"] + row["invalid"]) / max(1, row["calls"])
        return missed + max(0.0, bad - self.refused)


@dataclass(frozen=True, slots=True)
class Trial:
    """A setting on some of the recordings."""

    setup: Setup
    row: Mapping[str, Any]
    violation: float

    @property
    def rank(self) -> tuple[float, float]:
        """Smaller is better."""
        cost = self.row["cost"]
        return round(self.violation, 6), float("inf") if cost is None else cost


@dataclass(frozen=True, slots=True)
class Tuned:
    """The setting that was found, beside the one that it began with."""

    start: Trial
    best: Trial
    held_out_start: Trial | None
    held_out_best: Trial | None
    n_trials: int
    moves: tuple[str, ...] = ()


@dataclass
class Memory:
    """The figures of every replay that was done, in memory and, with a path, line by line on disk."""

    path: Path | None = None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            self.path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
        for line in text.splitlines():
            try:
                kept = json.loads(line)
                self.rows[kept["key"]] = kept["row"]
            except (ValueError, KeyError, TypeError):
                continue  # the line that was being written when the search was stopped

    def add(self, key: str, row: dict[str, Any]) -> None:
        self.rows[key] = row
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"key": key, "row": row}) + "\n")


class Tuner:
    """Searches the settings of a configuration's policies on recordings."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        provider: Provider,
        constraints: Constraints,
        *,
        cadence_s: float = CADENCE_S,
        memory: Memory | None = None,
        on_trial: Callable[[], None] = lambda: None,
    ) -> None:
        check_currency(recordings)
        self.train, self.held_out = split(recordings)
        self.sample = self.train[::SAMPLE]
        self._constraints = constraints
        self._provider = provider
        self._replayer = Replayer(provider, cadence_s=cadence_s)
        self._cadence_s = cadence_s
        self._memory = memory or Memory()
        self._on_trial = on_trial
        self._runs: dict[Recording, str] = {}
        self.n_trials = 0

    def tune(self, start: Setup, *, max_trials: int = 200) -> Tuned:
        """The best setting found within `max_trials` replays of a set of recordings."""
        first = best = self.trial(start, self.train)
        moves: list[str] = []
        improved = True
        while improved and self.n_trials < max_trials:
            improved = False
            for knob in find_knobs(best.setup):
                if self.n_trials >= max_trials:
                    break
                found = self._turn(knob, best)
                if found is not None:
                    best, value = found
                    moves.append(f"{knob}: {knob.value} -> {value}")
                    improved = True
        held = self.held_out
        return Tuned(
            first,
            best,
            self.trial(start, held) if held else None,
            self.trial(best.setup, held) if held else None,
            self.n_trials,
            tuple(moves),
        )

    def trial(self, setup: Setup, recordings: Sequence[Recording]) -> Trial:
        """A setting on recordings; replayed only where that was not done before."""
        key = self._key(setup, recordings)
        row = self._memory.rows.get(key)
        if row is None:
            with setup.manager(self._provider) as manager:
                outcomes = [self._replayer.run(r, manager, setup.name) for r in recordings]
            row = figures(setup.name, outcomes)
            self._memory.add(key, row)
        self.n_trials += 1
        self._on_trial()
        return Trial(setup, row, self._constraints.violation(row))

    def _turn(self, knob: Knob, best: Trial) -> tuple[Trial, Value] | None:
        """The best neighbour of a field's value, where it is better than the value."""
        sampled: list[tuple[Trial, Value]] = []
        for value in knob.neighbours:
            try:
                sampled.append((self.trial(knob.set(best.setup, value), self.sample), value))
            except ConfigError:
                continue  # the fields of a policy bound each other
        if len(self.sample) < len(self.train):
            here = self.trial(best.setup, self.sample)
            promising = [pair for pair in sampled if pair[0].rank < here.rank]
            promising.sort(key=lambda pair: pair[0].rank)
            sampled = [
                (self.trial(trial.setup, self.train), value)
                for trial, value in promising[: max(1, len(promising) // 2)]
            ]
        sampled.sort(key=lambda pair: pair[0].rank)
        return sampled[0] if sampled and _is_better(sampled[0][0], best) else None

    def _key(self, setup: Setup, recordings: Sequence[Recording]) -> str:
        what = {
            "fields": dict(setup.fields),
            "provider": str(self._provider),
            "counter": self._provider.counter.name,
            "rules": str(self._provider.rule),
            "cadence": self._cadence_s,
            "recordings": [self._digest(recording) for recording in recordings],
        }
        text = json.dumps(what, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def _digest(self, recording: Recording) -> str:
        """All of a recording that a replay goes by; ids need not differ between files."""
        if recording not in self._runs:
            said = [message.digest for message in recording.messages]
            tools = [tool.digest for tool in recording.tools]
            beside = repr(([(c.n_before, c.at) for c in recording.calls], recording.questions))
            body = b"".join([*said, *tools]) + beside.encode("utf-8")
            self._runs[recording] = hashlib.sha256(body).hexdigest()[:16]
        return self._runs[recording]


def split(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Two thirds to search on, one third held out; the same recordings always on the same side.

    Raises `ReplayError` where there is none. A single recording cannot be split.
    """
    if not recordings:
        raise ReplayError("nothing to tune on: there are no recordings")
    if len(recordings) < 3:
        return list(recordings), []
    ordered = sorted(recordings, key=lambda r: hashlib.sha256(r.id.encode("utf-8")).digest())
    held = {id(recording) for recording in ordered[: len(ordered) // 3]}
    return (
        [recording for recording in recordings if id(recording) not in held],
        [recording for recording in recordings if id(recording) in held],
    )


def to_yaml(tuned: Tuned, provider: Provider, constraints: Constraints) -> str:
    """The configuration that was found, with the figures it was chosen by as a comment."""
    import yaml

    lines = [
        f"# Found by contextkit tune in {tuned.n_trials} replays; cost by the rules of {provider}",
        f"# of {provider.rule.as_of}, counted with {provider.counter.name}.",
        f"# Constraints: {', '.join(f'{k} {v:g}' for k, v in asdict(constraints).items())}.",
    ]
    for name, trial in (
        ("searched on, before", tuned.start),
        ("searched on, after", tuned.best),
        ("held out, before", tuned.held_out_start),
        ("held out, after", tuned.held_out_best),
    ):
        if trial is not None:
            lines.append(f"#   {name:20} {describe(trial)}")
    fields = {k: v for k, v in tuned.best.setup.fields.items() if v not in (None, {}, [])}
    return "\n".join(lines) + "\n" + yaml.safe_dump(fields, sort_keys=False, width=100)


def describe(trial: Trial) -> str:
    """The figures of a setting on one line."""
    row = trial.row
    shares = ", ".join(
        f"{name} {row[name]:.1%}" for name in ("grounded", "reachable", "evidence")
        if row[name] is not None
    )  # fmt: skip
    cost = "-" if row["cost"] is None else f"{row['cost']:.4f}"
    return f"cost {cost}, {shares} ({row['runs']} recordings)"


def _is_better(one: Trial, other: Trial) -> bool:
    if one.rank[0] != other.rank[0]:
        return one.rank[0] < other.rank[0]
    return one.rank[1] < other.rank[1] * (1 - MIN_GAIN)
