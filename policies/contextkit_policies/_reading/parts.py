"""Whether reading in parts is worth it, and the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def agreement(left: Sequence[str], right: Sequence[str], first: int) -> float:
    """How much two rankings have in common at their top: intersection over union of the first few.

    Two empty tops agree.
    """
    a, b = set(left[:first]), set(right[:first])
    return len(a & b) / len(a | b) if a | b else 1.0


def dealt(
    ranked: Sequence[T], n_parts: int, tokens_of: Callable[[T], int], part_tokens: int
) -> list[list[T]]:
    """The ranked things dealt out in turn, so that every part has strong ones.

    No part is over `part_tokens`; what fits none is left out, and so are empty parts.
    """
    parts: list[list[T]] = [[] for _ in range(n_parts)]
    room = [part_tokens] * n_parts
    turn = 0
    for each in ranked:
        tokens = tokens_of(each)
        for step in range(n_parts):
            place = (turn + step) % n_parts
            if tokens <= room[place]:
                parts[place].append(each)
                room[place] -= tokens
                turn = place + 1
                break
    return [part for part in parts if part]
