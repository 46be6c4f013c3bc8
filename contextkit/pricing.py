"""What a provider's prompt cache does with a call, and what the call costs.

Rules and prices are data with a date and a source (`data/cache_rules.yaml`), never code: they
change several times a year. Everything here is a frozen value or a pure function of one. Money is
in USD, prices are per million tokens; a model without a known price still has a relative cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from contextkit.errors import ConfigError
from contextkit.usage import Usage

_STRICT = ConfigDict(extra="forbid", strict=True, defer_build=True)
_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Fraction = Annotated[float, Field(ge=0, le=1)]

PER_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, config=_STRICT)
class Ttl:
    """How long an entry lives after its last write or read, and what writing it costs."""

    name: Annotated[str, Field(min_length=1)]
    """What the provider calls it: `5m`, `1h`, `30m`, `in_memory`, …"""
    seconds: Annotated[float, Field(gt=0)] | None
    """After a longer gap nothing is expected to be read; None where entries do not lapse."""
    write: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """Price of a written token over the price of an uncached one."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Invalidation:
    """Which changes lose which layer; whoever loses one layer loses those behind it as well."""

    tools: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, config=_STRICT)
class LongPrompt:
    """The price of a whole call, output included, whose input is over `over_tokens`."""

    over_tokens: _Count
    input_usd: _Amount
    output_usd: _Amount


@dataclass(frozen=True, slots=True, config=_STRICT)
class Price:
    """USD per million tokens at the standard service tier, and where the number stands."""

    input_usd: _Amount
    output_usd: _Amount
    long: LongPrompt | None = None
    source: str = ""

    def tier(self, input_tokens: int) -> Price | LongPrompt:
        """What a call with that many input tokens is billed by."""
        return self.long if self.long and input_tokens > self.long.over_tokens else self


@dataclass(frozen=True, slots=True, config=_STRICT)
class CacheRule:
    """How one model caches prompts: one row of the table, complete with what it inherits."""

    provider: str
    pattern: str
    """Glob that the model's name matched; `*` for the provider's default row."""
    as_of: date
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    mode: Literal["explicit", "implicit", "none"]
    """Explicit: up to a cache point. Implicit: as far as the provider gets on its own."""
    minimum_tokens: _Count
    """A shorter prefix is silently not cached."""
    max_cache_points: _Count
    ttls: Annotated[tuple[Ttl, ...], Field(min_length=1)]
    """The first one is the default."""
    read_multiplier: _Fraction
    """Price of a token read from the cache over the price of an uncached one."""
    look_back_blocks: _Count | None = None
    """Content blocks before a cache point that are searched for an entry; None: not limited."""
    granularity_tokens: Annotated[int, Field(ge=1)] = 1
    """Cached tokens are counted in multiples of this, rounded down."""
    reads: Literal["points", "prefix", "units"] = "points"
    """What a later call finds: what an earlier one had up to a cache point (or to its end), any prefix
    the two share, or whole units (an input, an output, a prefix that several calls were seen to share)."""
    caches_output: bool = False
    """Whether an answer can be read from the cache by the call that repeats it."""
    invalidates: Invalidation = Invalidation()
    price: Price | None = None
    note: str = ""

    def ttl(self, name: str | None = None) -> Ttl:
        """The TTL of that name, or the default one. Raises `ConfigError` where there is none."""
        for ttl in self.ttls:
            if name is None or ttl.name == name:
                return ttl
        known = ", ".join(ttl.name for ttl in self.ttls)
        raise ConfigError(f"ttl: {self.provider} {self.pattern} has no {name!r}; one of {known}")

    def cached(self, tokens: int) -> int:
        """How much of a prefix of `tokens` can stand in the cache: 0 below the minimum."""
        if self.mode == "none" or tokens < self.minimum_tokens:
            return 0
        return tokens - tokens % self.granularity_tokens


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """What one call is expected to read, write and pay fresh; the three add up to its input."""

    read_tokens: int
    write_tokens: int
    fresh_tokens: int
    cost_usd: float | None
    """Of the input; None where the price is not known."""
    uncached_usd: float | None
    """The same input without a cache."""
    relative_cost: float
    """Cost of the input over the cost of the same input without a cache."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """The bill of one call in USD, by what its tokens were billed as."""

    read_usd: float
    write_usd: float
    fresh_usd: float
    output_usd: float

    @property
    def input_usd(self) -> float:
        return self.read_usd + self.write_usd + self.fresh_usd

    @property
    def total_usd(self) -> float:
        return self.input_usd + self.output_usd


def find_rule(
    provider: str, model: str, overrides: Mapping[str, Any] | None = None
) -> CacheRule | None:
    """The row of the most specific pattern, else the provider's default; None: unknown provider.

    `overrides` has the shape of the shipped file; its rows are laid over the shipped ones field by
    field. Raises `ConfigError`, naming the row and the field, where it does not fit that shape.
    """
    from contextkit import cache_rules

    return cache_rules.find(provider, model, overrides)


def forecast(
    rule: CacheRule,
    *,
    input_tokens: int,
    shared_prefix_tokens: int,
    last_cache_point_tokens: int = 0,
    ttl: str | None = None,
    gap_s: float | None = None,
) -> Forecast:
    """What the provider's cache is expected to do with a call; no provider guarantees a hit.

    `shared_prefix_tokens`: the longest prefix that an earlier call left in the cache, 0 for a first
    call. `last_cache_point_tokens`: input up to the last cache point; implicit providers set their
    own at the end of the input. `gap_s`: seconds since that earlier call; None: within the TTL.
    """
    lifetime = rule.ttl(ttl)
    reach = input_tokens if rule.mode == "implicit" else min(last_cache_point_tokens, input_tokens)
    cached = rule.cached(reach)
    lapsed = gap_s is not None and lifetime.seconds is not None and gap_s > lifetime.seconds
    read = 0 if lapsed else rule.cached(min(shared_prefix_tokens, cached))
    write, fresh = cached - read, input_tokens - cached
    billed = read * rule.read_multiplier + write * lifetime.write + fresh
    unit = rule.price.tier(input_tokens).input_usd / PER_MILLION if rule.price else None
    return Forecast(
        read_tokens=read,
        write_tokens=write,
        fresh_tokens=fresh,
        cost_usd=None if unit is None else billed * unit,
        uncached_usd=None if unit is None else input_tokens * unit,
        relative_cost=billed / input_tokens if input_tokens else 1.0,
    )


def cost(rule: CacheRule, usage: Usage, ttl: str | None = None) -> Cost | None:
    """The bill of a call by what the provider reported; None where the model's price is not known.

    Cached tokens are part of `usage.input_tokens`, reasoning tokens part of `usage.output_tokens`.
    """
    if rule.price is None:
        return None
    tier = rule.price.tier(usage.input_tokens)
    unit = tier.input_usd / PER_MILLION
    fresh = max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens)
    return Cost(
        read_usd=usage.cache_read_tokens * rule.read_multiplier * unit,
        write_usd=usage.cache_write_tokens * rule.ttl(ttl).write * unit,
        fresh_usd=fresh * unit,
        output_usd=usage.output_tokens * tier.output_usd / PER_MILLION,
    )
