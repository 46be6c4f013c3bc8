"""Filling a target: the best-scored words, exactly as many as fit, what is protected always.

The count of a text is not the sum of its words' counts, so the cut is found by counting whole texts; the
sum only says where to look first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from contextkit.compression.base import Count, ProtectedMass
from contextkit.compression.joining import Joints
from contextkit.compression.spans import Word

PROBES = 24
"""Whole texts that may be counted in search of the cut; halving needs log2(words) at most."""
NEAR = 2000
"""One token in so many may be left of a target: another count would cost more than it brings."""
CHARACTERS = 4.8
"""About how many a token has, before anything was counted."""


def keep_to_target(
    text: str, units: Sequence[Word], scores: Sequence[float], target_tokens: int, count: Count
) -> str:
    """The units with the highest scores, in their order, in at most `target_tokens` tokens.

    Protected units stay whatever their score. Raises `ProtectedMass` where they alone are too much.
    Ties go to the earlier unit.
    """
    filling = _Filling(text, units, scores, count)
    least = filling.tokens_of(0)
    if least > target_tokens:
        raise ProtectedMass(least, target_tokens)
    return filling.topped_up(filling.largest(target_tokens, least), target_tokens)


class _Filling:
    """One text and the order in which its units come in."""

    def __init__(
        self, text: str, units: Sequence[Word], scores: Sequence[float], count: Count
    ) -> None:
        self._count, self._joints = count, Joints(text, units)
        columns = self._joints.units
        free = np.flatnonzero(~columns.protected)
        order = np.argsort(-np.asarray(scores, dtype=np.float64)[free], kind="stable")
        self._ranked = free[order]
        self._rank = np.full(len(units), -1, dtype=np.intp)
        self._rank[self._ranked] = np.arange(len(free))
        lengths = (columns.stops - columns.starts).astype(np.float64)
        self._weight: list[float] = [0.0, *np.cumsum(lengths[self._ranked]).tolist()]

    def tokens_of(self, n: int) -> int:
        """Tokens of what is protected with the best `n` others."""
        return self._count(self._kept(n))

    def _kept(self, n: int) -> str:
        return self._joints.told(np.flatnonzero(self._rank < n))

    def largest(self, target: int, least: int) -> int:
        """The largest n found with `tokens_of(n) <= target`; assumes it about monotone.

        Each guess is where the line through the last two counts meets the target (secant method), kept
        between the bounds; halving now and then ends the search whatever the counts.
        """
        low, high = 0, len(self._ranked) + 1
        last, rise = (0, least), CHARACTERS**-1
        for probe in range(PROBES):
            if high - low <= 1 or target - target // NEAR <= last[1] <= target:
                break
            middle = self._guess(last, rise, target) if probe % 6 != 5 else (low + high) // 2
            middle = min(high - 1, max(low + 1, middle))
            tokens = self.tokens_of(middle)
            gained = self._weight[middle] - self._weight[last[0]]
            rise = (tokens - last[1]) / gained if gained and tokens != last[1] else rise
            last = middle, tokens
            if tokens <= target:
                low = middle
            else:
                high = middle
        return low

    def _guess(self, last: tuple[int, int], rise: float, target: int) -> int:
        """Where the target is met if tokens grow with characters from the last count."""
        wanted = self._weight[last[0]] + (target - last[1]) / max(rise, 1e-9)
        return bisect_right(self._weight, wanted) - 1

    def topped_up(self, n: int, target: int) -> str:
        """What a long unit left open is given to the next ones that still fit, a few at most."""
        best = self._kept(n)
        tokens = self._count(best)
        chosen = self._rank < n
        for candidate in self._ranked[n + 1 : n + 1 + 2 * PROBES]:
            if tokens >= target - target // NEAR:
                break
            chosen[candidate] = True
            tried = self._joints.told(np.flatnonzero(chosen))
            now = self._count(tried)
            if now <= target:
                best, tokens = tried, now
            else:
                chosen[candidate] = False
        return best
