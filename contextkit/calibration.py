"""What reported usage teaches about a model's cache: where the dated rules are wrong, and by how much.

Rules rot between two releases of the table. Each answered call says what was read and written; where
that cannot be under the rules, it is counted, and once it was seen often enough the rule is corrected
and the contradiction named. Only what usage shows without doubt is learned: the least prefix that is
cached, and how long an entry lives.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from contextkit.ledger import Ledger
from contextkit.pricing import CacheRule, Ttl
from contextkit.usage import Usage

ENOUGH = 3
"""Times a contradiction is seen before it counts: providers promise no hit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Counts over the answered calls of one model, and the corrections they amount to."""

    smallest_cached: int = 0
    """Fewest tokens, under the stated minimum, that were in the cache after a write; 0: none were."""
    n_small: int = 0
    largest_uncached: int = 0
    """Most tokens over the stated minimum that were asked for and neither written nor read."""
    n_large: int = 0
    longest_hit_s: float = 0.0
    """Longest gap, over the stated TTL, after which something was read."""
    n_late: int = 0
    n_missed: int = 0
    """Calls in a row whose expected read, within the TTL, did not come."""

    def observe(
        self, rule: CacheRule, ledger: Ledger, usage: Usage, gap_s: float | None
    ) -> Calibration:
        """What is known after one more call; `gap_s` since the one before, None where there was none."""
        expected, cached = ledger.forecast, usage.cache_read_tokens + usage.cache_write_tokens
        now = self
        if usage.cache_write_tokens and cached < rule.minimum_tokens:
            least = min(cached, now.smallest_cached or cached)
            now = replace(now, smallest_cached=least, n_small=now.n_small + 1)
        asked = expected.read_tokens + expected.write_tokens
        if cached and cached <= now.largest_uncached:
            now = replace(now, largest_uncached=0, n_large=0)
        if rule.mode == "explicit" and asked and not cached:
            most = max(asked, now.largest_uncached)
            now = replace(now, largest_uncached=most, n_large=now.n_large + 1)
        lifetime = rule.ttl().seconds
        if gap_s is None or lifetime is None:
            return now
        if gap_s > lifetime and usage.cache_read_tokens >= max(1, rule.minimum_tokens):
            longest = max(gap_s, now.longest_hit_s)
            now = replace(now, longest_hit_s=longest, n_late=now.n_late + 1)
        if expected.read_tokens:
            now = replace(
                now, n_missed=0 if usage.cache_read_tokens else min(ENOUGH, now.n_missed + 1)
            )
        return now

    def applied(self, rule: CacheRule) -> CacheRule:
        """The rule with what was learned put in."""
        if self.n_small >= ENOUGH:
            rule = replace(rule, minimum_tokens=min(rule.minimum_tokens, self.smallest_cached))
        elif self.n_large >= ENOUGH and self.largest_uncached >= rule.minimum_tokens:
            rule = replace(rule, minimum_tokens=self.largest_uncached + 1)
        first = rule.ttls[0]
        if self.n_late >= ENOUGH and first.seconds is not None:
            longer = Ttl(first.name, max(first.seconds, self.longest_hit_s), first.write)
            rule = replace(rule, ttls=(longer, *rule.ttls[1:]))
        return rule

    def contradictions(self, rule: CacheRule) -> list[str]:
        """What usage says against the rule as shipped, a sentence each, with what would help."""
        of = f"{rule.provider} {rule.pattern} (rules of {rule.as_of})"
        found: list[str] = []
        if self.n_small >= ENOUGH:
            found.append(
                f"{of}: prefixes of {self.smallest_cached:,} tokens were cached, the stated minimum "
                f"is {rule.minimum_tokens:,}"
            )
        elif self.n_large >= ENOUGH and self.largest_uncached >= rule.minimum_tokens:
            found.append(
                f"{of}: prefixes of {self.largest_uncached:,} tokens were not cached, the stated "
                f"minimum is {rule.minimum_tokens:,}"
            )
        if self.n_late >= ENOUGH:
            found.append(
                f"{of}: entries were read after {self.longest_hit_s:,.0f} s, the stated TTL is "
                f"{rule.ttl().seconds:,.0f} s"
            )
        if self.n_missed >= ENOUGH:
            found.append(
                f"{of}: {ENOUGH} and more calls in a row read nothing where a read was expected; "
                "something before the messages may change with each call"
            )
        return found

    def dump(self) -> str:
        """As JSON, for `load`."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Calibration:
        return cls(**json.loads(text)) if text else cls()
