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
CHARACTERS = 4.0
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
        always = np.array([unit.protected for unit in units], dtype=bool)
        free = np.flatnonzero(~always)
        order = np.argsort(-np.asarray(scores, dtype=np.float64)[free], kind="stable")
        self._ranked = free[order]
        self._rank = np.full(len(units), -1, dtype=np.intp)
        self._rank[self._ranked] = np.arange(len(free))
        lengths = np.array([unit.stop - unit.start for unit in units], dtype=np.float64)
        self._weight: list[float] = [0.0, *np.cumsum(lengths[self._ranked]).tolist()]

    def tokens_of(self, n: int) -> int:
        """Tokens of what is protected with the best `n` others."""
        return self._count(self._kept(n))

    def _kept(self, n: int) -> str:
        return self._joints.told(np.flatnonzero(self._rank < n))

    def largest(self, target: int, least: int) -> int:
        """The largest n found with `tokens_of(n) <= target`; assumes it about monotone."""
        low, low_tokens = 0, least
        high, high_tokens = len(self._ranked) + 1, None
        for probe in range(PROBES):
            if high - low <= 1 or low_tokens == target:
                break
            middle = (low + high) // 2
            if probe % 4 != 3:
                middle = self._guess(low, low_tokens, high, high_tokens, target)
            tokens = self.tokens_of(middle)
            if tokens <= target:
                low, low_tokens = middle, tokens
            else:
                high, high_tokens = middle, tokens
        return low

    def _guess(
        self, low: int, low_tokens: int, high: int, high_tokens: int | None, target: int
    ) -> int:
        """Where the cut stands if tokens grow with characters from the nearer of two known points."""
        weight: list[float] = self._weight
        if high_tokens is None:
            rate = low_tokens / weight[low] if low else CHARACTERS**-1
            wanted = weight[low] + (target - low_tokens) / max(rate, 1e-9)
        else:
            rise = (weight[high] - weight[low]) / max(1, high_tokens - low_tokens)
            wanted = weight[low] + (target - low_tokens) * rise
        found = bisect_right(weight, wanted) - 1
        return min(high - 1, max(low + 1, found))

    def topped_up(self, n: int, target: int) -> str:
        """What a long unit left open is given to the next ones that still fit, a few at most."""
        best = self._kept(n)
        tokens = self._count(best)
        chosen = self._rank < n
        for candidate in self._ranked[n + 1 : n + 1 + 2 * PROBES]:
            if tokens >= target:
                break
            chosen[candidate] = True
            tried = self._joints.told(np.flatnonzero(chosen))
            now = self._count(tried)
            if now <= target:
                best, tokens = tried, now
            else:
                chosen[candidate] = False
        return best
