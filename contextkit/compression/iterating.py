"""Word by word behind what survived: the iterative token-level step of LLMLingua (arXiv:2310.05736, §3.2).

A segment is scored behind the *compressed* earlier segments, and its threshold is the quantile of its own
scores that keeps its own rate; every segment is treated, the last one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from contextkit.compression.in_step import Asking
from contextkit.compression.joining import joined
from contextkit.compression.scoring import Asked, Scorer
from contextkit.compression.spans import Word
from contextkit.compression.telling import levelled
from contextkit.compression.units import Units

SEGMENT_TOKENS = 200


def segments(members: Sequence[int], costs: Sequence[float], size: int) -> list[list[int]]:
    """The members in runs of about `size` tokens."""
    found: list[list[int]] = []
    spent = float(size)
    for index in members:
        if spent >= size:
            found.append([])
            spent = 0.0
        found[-1].append(index)
        spent += costs[index]
    return found


def cut_out(text: str, units: Units) -> tuple[str, Units]:
    """The units as a text of their own, and where they stand in it."""
    ends = np.cumsum(units.stops - units.starts)
    own = Units(np.concatenate([ends[:1] * 0, ends[:-1]]), ends, units.protected)
    if len(units) and ends[-1] == units.stops[-1] - units.starts[0]:
        return text[units.starts[0] : units.stops[-1]], own
    return "".join(units.written(text)), own


def iterate(
    text: str,
    units: Sequence[Word],
    members: Sequence[int],
    costs: Sequence[float],
    rates: Sequence[float],
    scorer: Scorer,
    question: str = "",
    size: int = SEGMENT_TOKENS,
) -> Asking[list[float]]:
    """A score a unit, above 0 where its segment's threshold keeps it; those that are no members get 0.

    With a question the score is contrastive (LongLLMLingua, arXiv:2310.06839, eq. 3): bits without it less
    bits behind it. A segment is kept at the mean of its units' `rates`.
    """
    columns = Units.of(units)
    words = columns.n_words(text)
    found = np.zeros(len(units))
    with ExitStack() as stack:
        readings = [stack.enter_context(scorer.open()) for _ in range(2 if question else 1)]
        before = ["", question + "\n"][: len(readings)]
        for run in segments(members, costs, size):
            places = np.array(run, dtype=np.intp)
            own, inside = cut_out(text, columns.take(places))
            ends = inside.stops.tolist()
            answers = yield [
                Asked(said, own, ends, reading)
                for said, reading in zip(before, readings, strict=True)
            ]
            bits = np.array(answers)
            told = (bits[0] - bits[1] if question else bits[0]) / words[places]
            rate = sum(map(rates.__getitem__, run)) / len(run)
            level = np.array(levelled(told, [0] * len(run), {0: rate}))
            found[places] = level
            before = [joined(own, inside.take(inside.protected | (level > 0)))] * len(readings)
    scores: list[float] = found.tolist()
    return scores
