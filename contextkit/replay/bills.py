"""The simulated bill of whole runs held against what they were really billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contextkit.replay.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Held:
    """Simulated over recorded costs of the same runs, input and output."""

    runs: int
    recorded_usd: float
    simulated_usd: float
    correlation: float | None
    """Pearson's, over the runs; None where fewer than three say what they cost."""
    held_out_level: float
    """Level of every second run once scaled by the level of the others: what calibration leaves."""

    @property
    def level(self) -> float:
        """Simulated over recorded."""
        return self.simulated_usd / self.recorded_usd

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {**asdict(self), "level": self.level}


def hold_against_recorded(outcomes: Sequence[Outcome]) -> Held | None:
    """The runs that say what they cost; None where none does, or a price is unknown.

    Meaningful where the runs were recorded the way they are replayed: the whole history, cached.
    """
    pairs: list[tuple[float, float]] = []
    for outcome in outcomes:
        costs = [(call.input_usd, call.output_usd) for call in outcome.calls]
        known = [a + b for a, b in costs if a is not None and b is not None]
        if outcome.recorded_usd and known and len(known) == len(costs):
            pairs.append((sum(known), outcome.recorded_usd))
    if not pairs:
        return None
    simulated, recorded = (sum(pair[side] for pair in pairs) for side in (0, 1))
    return Held(len(pairs), recorded, simulated, _correlation(pairs), _held_out(pairs))


def _held_out(pairs: Sequence[tuple[float, float]]) -> float:
    if len(pairs) < 2:
        return 1.0
    learned = sum(p[0] for p in pairs[::2]) / sum(p[1] for p in pairs[::2])
    return sum(p[0] for p in pairs[1::2]) / sum(p[1] for p in pairs[1::2]) / learned


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3:
        return None
    means = [sum(pair[side] for pair in pairs) / len(pairs) for side in (0, 1)]
    both = sum((a - means[0]) * (b - means[1]) for a, b in pairs)
    spread = [sum((pair[side] - means[side]) ** 2 for pair in pairs) for side in (0, 1)]
    scale = float((spread[0] * spread[1]) ** 0.5)
    return both / scale if scale else None
