"""Filling a budget with passages: the best for their length first, what does not fit is passed over."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

THRIFT = 0.4
"""How much a passage's length counts against it: at equal odds the shorter one leaves room for others."""


class Scored(Protocol):
    """Something with a score."""

    @property
    def score(self) -> float: ...


S = TypeVar("S", bound=Scored)


def fill(
    hits: Sequence[S],
    tokens_of: Callable[[S], int],
    budget: int,
    *,
    headings_of: Callable[[S], Sequence[tuple[str, int]]] | None = None,
    is_told: Callable[[S, Sequence[S]], bool] | None = None,
    saved_of: Callable[[S, Sequence[S]], int] | None = None,
    thrift: float = THRIFT,
) -> list[S]:
    """The hits that go into `budget` tokens, the likeliest first; never one too many.

    `tokens_of` is asked once for each hit. `headings_of` names what a hit stands under with the tokens of
    each, paid by the first hit under it. `is_told` says whether a hit would say again what those
    taken say, `saved_of` how many tokens it takes less, or they do, for standing beside them. Equal hits
    keep their order.
    """
    sized = [(hit, max(1, tokens_of(hit))) for hit in hits]
    sized.sort(key=lambda pair: thrift * math.log(pair[1]) - pair[0].score)
    taken: list[S] = []
    paid: set[str] = set()
    left = budget
    for hit, tokens in sized:
        headings = headings_of(hit) if headings_of else ()
        tokens += sum(extra for name, extra in headings if name not in paid)
        tokens -= saved_of(hit, taken) if saved_of else 0
        if tokens <= left and not (is_told and is_told(hit, taken)):
            taken.append(hit)
            paid.update(name for name, _ in headings)
            left -= tokens
    return taken
