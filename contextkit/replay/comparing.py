"""Configurations side by side over the same recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contextkit.errors import ReplayError
from contextkit.replay.bills import Bill, Held, bill_of, hold, own_counter
from contextkit.replay.loop import CADENCE_S, Replayer
from contextkit.replay.outcome import Outcome, Summary
from contextkit.replay.provider import Provider, find_provider
from contextkit.replay.recording import Recording
from contextkit.replay.setup import Setup, everything

PRICES_IN = "USD"


@dataclass(frozen=True)
class Comparison:
    """One summary a configuration, in the order they were given."""

    provider: Provider
    summaries: tuple[Summary, ...]
    notes: tuple[str, ...] = ()
    held: Held | None = None
    """What the runs were billed beside what the untouched history costs here, where both are known."""

    def to_json(self) -> dict[str, Any]:
        """The figures of all configurations, and what they go by."""
        rule = self.provider.rule
        return {
            "provider": self.provider.name,
            "model": self.provider.model,
            "rules_as_of": str(rule.as_of),
            "counter": self.provider.counter.name,
            "cost_is": "input cost over the same history sent whole and uncached",
            "setups": [summary.to_json() for summary in self.summaries],
            "recorded": self.held.to_json() if self.held else None,
            "notes": list(self.notes),
        }


def compare(
    recordings: Sequence[Recording],
    setups: Sequence[Setup],
    provider: Provider,
    *,
    cadence_s: float = CADENCE_S,
    schema_tokens: int = 0,
    keep_ledgers: bool = False,
    keep_warm: bool = False,
    on_call: Callable[[], None] = lambda: None,
) -> Comparison:
    """Every recording under every configuration.

    Raises `ReplayError` where the recordings are billed in several currencies or in another than
    the prices', `ConfigError` where a configuration does not fit.
    """
    check_currency(recordings)
    replayer = Replayer(
        provider,
        cadence_s=cadence_s,
        schema_tokens=schema_tokens,
        keep_ledgers=keep_ledgers,
        keep_warm=keep_warm,
    )
    summaries: list[Summary] = []
    notes: dict[str, None] = {}
    for setup in setups:
        with setup.manager(provider) as manager:
            outcomes = [replayer.run(r, manager, setup.name, on_call) for r in recordings]
        notes.update(dict.fromkeys(note for outcome in outcomes for note in outcome.notes))
        summaries.append(Summary(setup.name, tuple(outcomes)))
    held = hold_against_recorded(recordings, provider, cadence_s, schema_tokens)
    return Comparison(provider, tuple(summaries), tuple(notes), held)


def hold_against_recorded(
    recordings: Sequence[Recording],
    provider: Provider,
    cadence_s: float = CADENCE_S,
    schema_tokens: int = 0,
) -> Held | None:
    """The recorded dollars beside simulated ones, counted as the provider's own model counts.

    None where no run says what it cost, or the model has no price.
    """
    at = replace(provider, counter=own_counter(provider))
    replayer = Replayer(at, cadence_s=cadence_s, schema_tokens=schema_tokens)
    bills: list[Bill] = []
    with everything().manager(at) as manager:
        for recording in recordings:
            if recording.cost is None:
                continue
            calls = replayer.run(recording, manager).calls
            bill = bill_of(recording, calls, at, schema_tokens=schema_tokens)
            bills += [bill] if bill else []
    return hold(bills, at)


def run(
    recording: Recording, config: Setup | Mapping[str, Any], provider: Provider | str
) -> Outcome:
    """One recording under one configuration."""
    at = find_provider(provider) if isinstance(provider, str) else provider
    setup = config if isinstance(config, Setup) else Setup("configuration", config)
    summary = compare([recording], [setup], at, keep_ledgers=True).summaries[0]
    return summary.outcomes[0]


def check_currency(recordings: Sequence[Recording]) -> None:
    """Raises `ReplayError` where costs cannot be added up or held against the prices."""
    found: dict[str, str] = {}
    for recording in recordings:
        if recording.cost is not None:
            found.setdefault(recording.currency, recording.id)
    foreign = {name: where for name, where in found.items() if name != PRICES_IN}
    if foreign:
        listed = ", ".join(f"{name} ({where})" for name, where in sorted(found.items()))
        raise ReplayError(
            f"recorded costs are in {listed}, the prices in {PRICES_IN}; convert them, or take the "
            "cost out of the recordings"
        )
