"""Word by word behind what survived: the iterative token-level step of LLMLingua (arXiv:2310.05736, §3.2).

A segment is scored behind the *compressed* earlier segments, and its threshold is the quantile of its own
scores that keeps its own rate; every segment is treated, the last one too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise

from contextkit.compression.in_step import Asking
from contextkit.compression.joining import joined
from contextkit.compression.scoring import Asked, Scorer
from contextkit.compression.spans import Word
from contextkit.compression.telling import levelled

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


def cut_out(
    text: str, units: Sequence[Word], members: Sequence[int]
) -> tuple[str, list[int], list[int]]:
    """The members as a text of their own, where each ends in it, how many words it has (at least one)."""
    pieces = [text[start:stop] for start, stop, _ in map(units.__getitem__, members)]
    n_words = [len(piece.split()) or 1 for piece in pieces]
    return "".join(pieces), [*accumulate(map(len, pieces))], n_words


def iterate(
    text: str,
    units: Sequence[Word],
    members: Sequence[int],
    costs: Sequence[float],
    rate_of: Callable[[int], float],
    scorer: Scorer,
    question: str = "",
    size: int = SEGMENT_TOKENS,
) -> Asking[list[float]]:
    """A score a unit, above 0 where its segment's threshold keeps it; those that are no members get 0.

    With a question the score is contrastive (LongLLMLingua, arXiv:2310.06839, eq. 3): bits without it less
    bits behind it. `rate_of` tells the rate at which a unit's segment is kept.
    """
    found = [0.0] * len(units)
    with ExitStack() as stack:
        readings = [stack.enter_context(scorer.open()) for _ in range(2 if question else 1)]
        before = ["", question + "\n"][: len(readings)]
        for run in segments(members, costs, size):
            own, ends, n_words = cut_out(text, units, run)
            answers = yield [
                Asked(said, own, ends, reading)
                for said, reading in zip(before, readings, strict=True)
            ]
            told = [a - b for a, b in zip(*answers, strict=True)] if question else answers[0]
            told = [bits / n for bits, n in zip(told, n_words, strict=True)]
            rates = {0: sum(rate_of(index) for index in run) / len(run)}
            level = levelled(told, [0] * len(run), rates)
            for index, score in zip(run, level, strict=True):
                found[index] = score
            kept = [
                Word(start, stop, units[index].protected)
                for index, score, (start, stop) in zip(
                    run, level, pairwise((0, *ends)), strict=True
                )
                if units[index].protected or score > 0
            ]
            before = [joined(own, kept)] * len(readings)
    return found
