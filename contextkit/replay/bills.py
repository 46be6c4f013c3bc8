"""The simulated bill of whole runs held against what they were really billed.

A bill is linear in what a tokenizer's rates are made of: so much of every message was read from the
cache, written to it, or answered, each at its price. A counter that estimates can therefore learn from
dollars as it learns from reported tokens; every run is told with what the other half of the runs taught.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import StatisticsError, correlation
from typing import Any, cast

from contextkit.pricing import PER_MILLION
from contextkit.replay.outcome import ReplayedCall
from contextkit.replay.provider import Provider
from contextkit.replay.recording import Recording
from contextkit.tokens import Measure, TokenCounter, add, subtract
from contextkit.tokens.choose import counter_for
from contextkit.tools import Tool


@dataclass(frozen=True, slots=True)
class Held:
    """Simulated and recorded costs of the same runs, input, tool schemas and output."""

    runs: int
    recorded_usd: float
    simulated_usd: float
    """With rates learned from the bills of every second run, told for the others, and the reverse."""
    unlearned_usd: float
    """With the rates as shipped."""
    correlation: float | None
    """Pearson's, of simulated and recorded; None where fewer than three runs say what they cost."""

    @property
    def level(self) -> float:
        """Simulated over recorded."""
        return self.simulated_usd / self.recorded_usd

    @property
    def unlearned_level(self) -> float:
        """The same with the rates as shipped."""
        return self.unlearned_usd / self.recorded_usd

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {**asdict(self), "level": self.level, "unlearned_level": self.unlearned_level}


@dataclass(frozen=True, slots=True)
class Bill:
    """A whole run as one measure, in tokens at the uncached input price, and what it was billed."""

    measure: Measure
    unit_usd: float
    """Of one uncached input token."""
    recorded_usd: float

    @property
    def recorded_tokens(self) -> int:
        """The recorded cost in tokens at the uncached input price."""
        return round(self.recorded_usd / self.unit_usd)


def own_counter(provider: Provider) -> TokenCounter:
    """A fresh counter of the provider's own model, whatever the comparison counts with."""
    return counter_for(provider.name, provider.model, None)


def hold(bills: Sequence[Bill], provider: Provider) -> Held | None:
    """The bills of runs as their provider's rates tell them; None where there is none.

    Meaningful where the runs were recorded the way they are replayed: the whole history, cached.
    """
    if not bills:
        return None
    halves = [learned_from(bills[1::2], provider), learned_from(bills[::2], provider)]
    told = [
        halves[index % 2].tokens(bill.measure) * bill.unit_usd for index, bill in enumerate(bills)
    ]
    fresh = own_counter(provider)
    recorded = [bill.recorded_usd for bill in bills]
    unlearned = sum(fresh.tokens(bill.measure) * bill.unit_usd for bill in bills)
    pairs = list(zip(told, recorded, strict=True))
    return Held(len(bills), sum(recorded), sum(told), unlearned, _correlation(pairs))


def learned_from(bills: Sequence[Bill], provider: Provider) -> TokenCounter:
    """A counter that has seen these bills; one that counts exactly has nothing to learn."""
    counter = own_counter(provider)
    for bill in bills:
        counter.observe(bill.measure, bill.recorded_tokens)
    return counter


def bill_of(
    recording: Recording,
    calls: Sequence[ReplayedCall],
    provider: Provider,
    *,
    schema_tokens: int = 0,
) -> Bill | None:
    """What a run reads, writes and answers as one measure, by how its calls were served.

    `calls` are those of the untouched history. `schema_tokens` take the place of the recording's tool
    schemas; without either, tools are those that its calls show, with the arguments they gave. None
    where the run does not say what it cost, or a price is unknown.
    """
    price = provider.rule.price
    if recording.cost is None or recording.cost <= 0 or price is None:
        return None
    counter = own_counter(provider)
    sums = [counter.zero]
    for message in recording.messages:
        sums.append(add(sums[-1], counter.measure(message)))
    frame = counter.measure_frame(
        () if schema_tokens else recording.tools or shown_tools(recording)
    )
    extra = (schema_tokens, *counter.zero[1:])
    weighed: list[tuple[float, Measure]] = []
    before = counter.zero
    for recorded, call in zip(recording.calls, calls, strict=True):
        said, after = sums[recorded.n_before], sums[recorded.n_before + 1]
        tier = price.tier(call.usage.input_tokens)
        scale = tier.input_usd / price.input_usd
        head, rest = _multipliers(call, provider.rule.read_multiplier)
        weighed += [
            (scale * head, add(add(before, frame), extra)),
            (scale * rest, subtract(said, before)),
            (tier.output_usd / price.input_usd, subtract(after, said)),
        ]
        before = said
    sizes = range(len(counter.zero))
    total = tuple(round(sum(weight * part[i] for weight, part in weighed)) for i in sizes)
    unit = price.input_usd / PER_MILLION
    return Bill(total, unit, recording.cost)


def _multipliers(call: ReplayedCall, read_multiplier: float) -> tuple[float, float]:
    """What the repeated head and what is new of a call cost, over the uncached price."""
    read = call.usage.cache_read_tokens or 0
    fresh = call.usage.input_tokens - read
    rest = (call.billed_tokens - read_multiplier * read) / fresh if fresh else 0.0
    return (read_multiplier if read else rest), rest


def shown_tools(recording: Recording) -> tuple[Tool, ...]:
    """Tools as far as a recording without schemas shows them: names, and the arguments given."""
    found: dict[str, dict[str, Any]] = {}
    for message in recording.messages:
        for call in message.tool_calls:
            known = found.setdefault(call.name, {})
            known.update({name: {"type": "string"} for name in _argument_names(call.arguments)})
    return tuple(
        Tool(name, parameters={"type": "object", "properties": properties})
        for name, properties in found.items()
    )


def _argument_names(arguments: str) -> list[str]:
    try:
        value = json.loads(arguments)
    except ValueError:  # what a model wrote need not be JSON; then it names nothing
        return []
    return list(cast("dict[str, Any]", value)) if isinstance(value, dict) else []


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3:
        return None
    try:
        return correlation(*zip(*pairs, strict=True))
    except StatisticsError:  # all of one side are alike
        return None
