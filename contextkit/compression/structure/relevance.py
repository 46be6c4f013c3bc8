"""What of a structure to keep first: what the question names, what went wrong."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_TERM = re.compile(r"[^\W_]{3,}|\d+")
_COMMON = frozenset(
    "the and for are was were with that this from what which who whom when where why how does did has have "
    "had can could would should will not you your all any its their about into than then them they".split()
)
_TROUBLE = (
    "error", "fail", "exception", "fatal", "critical", "panic", "traceback", "denied", "refused",
    "timeout", "invalid", "missing", "cannot", "unable", "warn", "assert", "abort", "not found",
    "undefined",
)  # fmt: skip
NAMED, TROUBLE = 2.0, 1.0
BEGINNING, AGAIN = 60, 1 / 16
COMMON_FROM = 50
"""A term found this often tells half as much about a place as one found once."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Where in one text the terms stand: for each, its weight and its places in order."""

    terms: tuple[tuple[float, Sequence[int]], ...]

    def scores(self, starts: Sequence[int], start: int, stop: int) -> dict[int, float]:
        """Score of each part of `text[start:stop]` that has a hit; parts begin at `starts`, sorted.

        A term counts in full once a part, and more at its beginning: names stand there.
        """
        found: dict[int, float] = {}
        for weight, places in self.terms:
            last = -1
            for at in places[bisect_left(places, start) : bisect_left(places, stop)]:
                part = bisect_right(starts, at) - 1
                if part < 0:
                    continue
                worth = AGAIN * weight
                if part != last:
                    worth = weight * (1.0 + (at - starts[part] < BEGINNING) / 2)
                    last = part
                found[part] = found.get(part, 0.0) + worth
        return found

    def within(self, start: int, stop: int) -> float:
        """Score of `text[start:stop]` as one part."""
        return sum(
            weight
            for weight, places in self.terms
            if bisect_left(places, start) < bisect_left(places, stop)
        )


@dataclass(frozen=True, slots=True)
class Relevance:
    """The terms of a question."""

    terms: tuple[str, ...] = ()

    @classmethod
    def of(cls, question: str) -> Relevance:
        """Relevance to a question; to nothing in particular where it is empty."""
        found = dict.fromkeys(term.lower() for term in _TERM.findall(question))
        return cls(tuple(term for term in found if term not in _COMMON))

    def hits(self, text: str) -> Hits:
        """Where the question's terms and words of trouble begin in a text."""
        lowered = text.lower()
        if len(lowered) != len(text):  # a few letters have a longer lower case: places would shift
            lowered = text
        wanted = [*((term, NAMED) for term in self.terms), *((term, TROUBLE) for term in _TROUBLE)]
        found = [(weight, _places(lowered, term)) for term, weight in wanted]
        return Hits(
            tuple(
                (weight / (1 + len(places) / COMMON_FROM), places)
                for weight, places in found
                if places
            )
        )


def _places(text: str, term: str) -> list[int]:
    """Where words begin with the term."""
    places: list[int] = []
    at = text.find(term)
    while at >= 0:
        if at == 0 or not text[at - 1].isalnum():
            places.append(at)
        at = text.find(term, at + len(term))
    return places
