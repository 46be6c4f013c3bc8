"""Whether a prompt cache is worth keeping while a thread pauses: how many reads, how far apart.

An entry lapses some time after it was last read. Where the next call may come later than that (a tool runs
for many minutes, a user thinks), sending the last call again with hardly any output reads the entry and so
renews it. Such a read costs `c`, the cached prefix at the price of a read and what stands behind it fresh;
a cache that has lapsed costs `L` more with the next call, the prefix at the price of a write less a read.
For a pause that takes `n` reads to outlast, keeping is the cheaper way exactly where `n * c < L`: with
Anthropic's five minutes up to 11 reads (not quite an hour), 23 where a read costs 0.05.

Nobody knows the pause ahead. The number of reads after which to give up is the one that would have been
cheapest over the thread's latest pauses and one that never ends, of those up to `L / c`: so no pause costs
more than twice what hindsight would have made of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contextkit.call import Call
from contextkit.pricing import CacheRule

FEWEST_OUTPUT = {"anthropic": 1}
"""Tokens of output that a dialect must be asked for at the least; others take 16 (OpenAI's Responses)."""
MARGIN_S = 15.0
"""A read is sent so long before the entry lapses; half the lifetime where that is shorter."""


@dataclass(frozen=True, slots=True)
class Warming:
    """Reads that keep the cache of a pausing thread: `call` every `every_s` seconds, `reads` times at most.

    Stop when the pause ends; its reply is of no use and is not recorded.
    """

    call: Call
    """The last call again, for the fewest tokens of output."""
    reads: int
    every_s: float
    read_tokens: float
    """What one read costs, in tokens at the uncached price."""
    saved_tokens: float
    """What keeping is expected to save in a pause like those that were seen, in the same tokens."""
    why: str


def n_reads(pause_s: float, every_s: float) -> int:
    """How many reads a pause takes to be outlasted; none where it ends before the first is due."""
    return max(0, math.ceil(pause_s / every_s) - 1)


def cheapest(pauses: Sequence[int], read: float, lapse: float, *, ends: bool) -> tuple[int, float]:
    """After how many reads to give up, and what that saves a pause on average.

    `pauses` by the reads that each takes; unless `ends`, one more that never ends is thought of. `read`
    and `lapse`: what a read costs, and what a lapsed cache costs more with the next call. No more reads
    are looked at than cost one lapse.
    """
    n_pauses = len(pauses) + (not ends)

    def saved(most: int) -> float:
        kept = sum(lapse - n * read for n in pauses if 0 < n <= most)
        given_up = sum(n > most for n in pauses) + (not ends)
        return (kept - given_up * most * read) / max(1, n_pauses)

    most = max({0, *(n for n in pauses if n * read < lapse)}, key=lambda n: (saved(n), -n))
    return most, saved(most)


def plan(
    call: Call,
    rule: CacheRule | None,
    *,
    ttl: str | None,
    pauses_s: Sequence[float],
    expected_s: float | None = None,
    dialect: str = "anthropic",
) -> Warming | None:
    """How to keep what `call` has left in the cache, or None where nothing is cached or it does not pay.

    `expected_s`: how long the pause is going to be, where the caller knows; else it is judged by
    `pauses_s`, the seconds between the thread's latest calls.
    """
    forecast = call.ledger.forecast
    cached = forecast.read_tokens + forecast.write_tokens
    if rule is None or not cached:
        return None
    lifetime = rule.ttl(ttl)
    if lifetime.seconds is None:
        return None
    every_s = max(lifetime.seconds - MARGIN_S, lifetime.seconds / 2)
    read = cached * rule.read_multiplier + forecast.fresh_tokens
    lapse = cached * (lifetime.write - rule.read_multiplier)
    known = pauses_s if expected_s is None else (expected_s,)
    pauses = [n_reads(seconds, every_s) for seconds in known]
    reads, saved = cheapest(pauses, read, lapse, ends=expected_s is not None)
    if not reads:
        return None
    basis = f"the latest {len(pauses)} pauses" if expected_s is None else f"{expected_s:,.0f} s"
    why = (
        f"a read costs {read:,.0f} tokens at the uncached price, a lapsed cache {lapse:,.0f}: for {basis} "
        f"up to {reads} reads are the cheaper way"
    )
    last = replace(call, max_output_tokens=FEWEST_OUTPUT.get(dialect, 16), plan=None)
    return Warming(last, reads, every_s, read, saved, why)
