"""What became of a recording under a configuration: one row a call, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from contextkit.ledger import Ledger
from contextkit.replay.grounding import Grounded
from contextkit.usage import Usage


@dataclass(frozen=True, slots=True)
class ReplayedCall:
    """One recorded model call, assembled anew and served by the simulated cache."""

    n_before: int
    """Messages that were said before it."""
    at: float
    """When it was made, in seconds."""
    full_tokens: int
    """The whole history up to here with the tools: what a call without any policy would send."""
    usage: Usage
    """As the simulated provider counts and caches it; the output is the recorded answer."""
    billed_tokens: float
    """The input in tokens at the uncached price: reads, writes and fresh ones by their multiplier."""
    input_usd: float | None
    full_usd: float | None
    """The whole history uncached."""
    output_usd: float | None
    grounded: Grounded
    assembly_s: float
    moved: bool = False
    moved_by: str = ""
    rewritten_tokens: int = 0
    problems: tuple[str, ...] = ()
    """What the provider would refuse."""
    refused: str = ""
    """Why no call could be made; the other figures are then 0."""
    ledger: Ledger | None = field(default=None, repr=False)
    warm_reads: int = 0
    """Sent in the pause before it so that the cache held; their cost is part of `billed_tokens`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Questions asked after a recording: how many calls held all, and what share of it they held."""

    asked: int = 0
    whole: int = 0
    share: float = 0.0
    """Summed over the questions."""

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            self.asked + other.asked, self.whole + other.whole, self.share + other.share
        )


@dataclass(frozen=True)
class Outcome:
    """A recording under one configuration."""

    recording: str
    setup: str
    window: int
    calls: tuple[ReplayedCall, ...]
    evidence: Evidence = Evidence()
    recorded_usd: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """Several recordings under one configuration; shares are of tokens, not of calls."""

    setup: str
    outcomes: tuple[Outcome, ...]

    @property
    def calls(self) -> list[ReplayedCall]:
        return [call for outcome in self.outcomes for call in outcome.calls]

    def to_json(self) -> dict[str, Any]:
        """The figures, without the single calls."""
        return figures(self.setup, self.outcomes)


def figures(setup: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What the calls of some recordings add up to, as JSON values."""
    calls = [call for outcome in outcomes for call in outcome.calls]
    made = [call for call in calls if not call.refused]
    input_tokens = sum(call.usage.input_tokens for call in made)
    full_tokens = sum(call.full_tokens for call in made)
    grounded = sum((call.grounded for call in calls), Grounded())
    evidence = sum((outcome.evidence for outcome in outcomes), Evidence())
    times = sorted(call.assembly_s for call in made)
    return {
        "setup": setup,
        "runs": len(outcomes),
        "calls": len(calls),
        "cost": _share(sum(call.billed_tokens for call in made), full_tokens),
        "input_usd": _sum([call.input_usd for call in made]),
        "output_usd": _sum([call.output_usd for call in made]),
        "uncached_usd": _sum([call.full_usd for call in made]),
        "read_share": _share(sum(c.usage.cache_read_tokens for c in made), input_tokens),
        "write_share": _share(sum(c.usage.cache_write_tokens for c in made), input_tokens),
        "kept_share": _share(input_tokens, full_tokens),
        "input_tokens": input_tokens,
        "full_tokens": full_tokens,
        "peak_tokens": max((call.usage.input_tokens for call in made), default=0),
        "window": max((outcome.window for outcome in outcomes), default=0),
        "invalid": sum(bool(call.problems) for call in made),
        "refused": len(calls) - len(made),
        "moves": sum(call.moved for call in made),
        "rewritten_tokens": sum(call.rewritten_tokens for call in made),
        "warm_reads": sum(call.warm_reads for call in made),
        "tool_calls": grounded.calls,
        "grounded": _share(grounded.in_context, grounded.calls),
        "reachable": _share(grounded.reachable, grounded.calls),
        "questions": evidence.asked,
        "evidence": _share(evidence.whole, evidence.asked),
        "evidence_share": _share(evidence.share, evidence.asked),
        "assembly_ms_p50": _milliseconds(times, 0.5),
        "assembly_ms_p99": _milliseconds(times, 0.99),
    }


def call_json(call: ReplayedCall) -> dict[str, Any]:
    """One call as JSON values."""
    return {
        "messages": call.n_before,
        "at": call.at,
        "full_tokens": call.full_tokens,
        "input_tokens": call.usage.input_tokens,
        "read_tokens": call.usage.cache_read_tokens,
        "write_tokens": call.usage.cache_write_tokens,
        "billed_tokens": round(call.billed_tokens, 2),
        "input_usd": call.input_usd,
        "moved_by": call.moved_by if call.moved else None,
        "rewritten_tokens": call.rewritten_tokens,
        "warm_reads": call.warm_reads,
        "tool_calls": call.grounded.calls,
        "grounded": call.grounded.in_context,
        "reachable": call.grounded.reachable,
        "problems": list(call.problems),
        "refused": call.refused or None,
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _milliseconds(times: Sequence[float], at: float) -> float | None:
    return times[min(len(times) - 1, int(at * len(times)))] * 1000 if times else None
