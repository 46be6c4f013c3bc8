"""Word by word behind what survived: the iterative token-level step of LLMLingua (arXiv:2310.05736, §3.2).

A segment is scored behind the *compressed* earlier segments, and its threshold is the quantile of its own
scores that keeps its own rate; every segment is treated, the last one too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from contextkit.compression.joining import joined
from contextkit.compression.scoring import Scorer
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


def cut_out(text: str, units: Sequence[Word], members: Sequence[int]) -> tuple[str, list[Word]]:
    """The members as a text of their own, and where they stand in it."""
    pieces: list[str] = []
    placed: list[Word] = []
    at = 0
    for index in members:
        start, stop, kept = units[index]
        pieces.append(text[start:stop])
        placed.append(Word(at, at + stop - start, kept))
        at += stop - start
    return "".join(pieces), placed


def per_word(text: str, units: Sequence[Word], bits: Sequence[float]) -> list[float]:
    """Bits a word, so that a long name is not kept for its length."""
    return [
        bit / (len(text[start:stop].split()) or 1)
        for (start, stop, _), bit in zip(units, bits, strict=True)
    ]


def iterate(
    text: str,
    units: Sequence[Word],
    members: Sequence[int],
    costs: Sequence[float],
    rate_of: Callable[[int], float],
    scorer: Scorer,
    question: str = "",
    size: int = SEGMENT_TOKENS,
) -> list[float]:
    """A score a unit, above 0 where its segment's threshold keeps it; those that are no members get 0.

    With a question the score is contrastive (LongLLMLingua, arXiv:2310.06839, eq. 3): bits without it less
    bits behind it. `rate_of` tells the rate at which a unit's segment is kept.
    """
    found = [0.0] * len(units)
    with ExitStack() as stack:
        plain = stack.enter_context(scorer.open())
        asked = stack.enter_context(scorer.open()) if question else None
        if asked is not None:
            asked.read(question + "\n")
        runs = segments(members, costs, size)
        for number, run in enumerate(runs, 1):
            own, placed = cut_out(text, units, run)
            bits = per_word(own, placed, plain.score(own, placed))
            if asked is not None:
                behind = per_word(own, placed, asked.score(own, placed))
                bits = [a - b for a, b in zip(bits, behind, strict=True)]
            rates = {0: sum(rate_of(index) for index in run) / len(run)}
            level = levelled(bits, [0] * len(run), rates)
            for index, score in zip(run, level, strict=True):
                found[index] = score
            if number == len(runs):
                break
            kept = [w for w, score in zip(placed, level, strict=True) if w.protected or score > 0]
            survivors = joined(own, kept)
            for reading in (plain, asked):
                if reading is not None and survivors:
                    reading.read(survivors)
    return found
