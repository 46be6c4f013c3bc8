"""Filling a target: the best-scored words, exactly as many as fit, what is protected always.

The count of a text is not the sum of its words' counts, so the cut is found by counting whole texts; the
sum only says where to look first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contextkit.compression.base import Count, ProtectedMass
from contextkit.compression.spans import Word

PROBES = 24
"""Whole texts that may be counted in search of the cut; halving needs log2(words) at most."""


def keep_to_target(
    text: str, units: Sequence[Word], scores: Sequence[float], target_tokens: int, count: Count
) -> str:
    """The units with the highest scores, in their order, in at most `target_tokens` tokens.

    Protected units stay whatever their score. Raises `ProtectedMass` where they alone are too much.
    Ties go to the earlier unit.
    """
    ranked = sorted(
        (i for i, unit in enumerate(units) if not unit.protected),
        key=lambda i: (-scores[i], i),
    )
    always = [i for i, unit in enumerate(units) if unit.protected]

    def kept(n: int) -> str:
        chosen = sorted([*always, *ranked[:n]])
        return joined(text, [units[i] for i in chosen])

    least = count(kept(0))
    if least > target_tokens:
        raise ProtectedMass(least, target_tokens)
    n = _largest(lambda n: count(kept(n)), len(ranked), target_tokens, least)
    return _topped_up(kept, ranked, n, text, units, always, target_tokens, count)


def joined(text: str, kept: Sequence[Word]) -> str:
    """The kept units with their own blanks; where one was dropped at a line's end, the line break stays."""
    parts: list[str] = []
    previous: Word | None = None
    for unit in kept:
        gap = text[previous.stop : unit.start] if previous is not None else text[: unit.start]
        if "\n" in gap and parts and not parts[-1].endswith("\n"):
            parts[-1] = parts[-1].rstrip(" \t") + "\n"
        piece = text[unit.start : unit.stop]
        if parts and not parts[-1][-1:].isspace() and gap[-1:].isspace():
            parts.append(" ")
        parts.append(piece)
        previous = unit
    out = "".join(parts)
    return out if previous is not None and previous.stop == len(text) else out.rstrip()


def _largest(tokens_of: Callable[[int], int], most: int, target: int, least: int) -> int:
    """The largest n in `0..most` found with `tokens_of(n) <= target`; assumes it about monotone."""
    low, high, low_tokens, high_tokens = 0, most + 1, least, None
    for probe in range(PROBES):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        if probe % 2 == 0 and low_tokens < target:
            # Between two known points tokens grow about evenly, so the cut is near the straight line.
            rise = (high_tokens or 0) - low_tokens
            guess = low + int((target - low_tokens) * (high - low) / rise) if rise > 0 else middle
            middle = min(high - 1, max(low + 1, guess))
        tokens = tokens_of(middle)
        if tokens <= target:
            low, low_tokens = middle, tokens
        else:
            high, high_tokens = middle, tokens
    return low


def _topped_up(
    kept: Callable[[int], str],
    ranked: Sequence[int],
    n: int,
    text: str,
    units: Sequence[Word],
    always: Sequence[int],
    target: int,
    count: Count,
) -> str:
    """What a long unit left open is given to the next ones that still fit, a few at most."""
    chosen = [*always, *ranked[:n]]
    best, tokens = kept(n), None
    tokens = count(best)
    for candidate in ranked[n + 1 : n + 1 + 2 * PROBES]:
        if tokens >= target:
            break
        tried = joined(text, [units[i] for i in sorted([*chosen, candidate])])
        now = count(tried)
        if now <= target:
            chosen.append(candidate)
            best, tokens = tried, now
    return best
