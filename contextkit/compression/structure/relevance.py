"""What of a structure to keep first: what the question names, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from contextkit.compression.structure.arrays import codes_of, flat
from contextkit.compression.structure.parts import Places

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
COMMON_TO = 5000
"""A term found more often tells nothing about a place."""

_IN_WORD = np.array([chr(code).isalnum() for code in range(256)])

Weights: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hits:
    """Where in one text the terms stand, in order: what each place weighs, and its term's place before."""

    places: Places
    weights: Weights
    previous: Places

    def scores(self, starts: Sequence[int], start: int, stop: int) -> dict[int, float]:
        """The parts that have a score, of those of `text[start:stop]`; see `weigh`."""
        found = self.weigh(np.array(starts, dtype=np.intp), start, stop)
        return {index: float(found[index]) for index in np.flatnonzero(found).tolist()}

    def weigh(self, starts: Places, start: int, stop: int) -> Weights:
        """Score of each part of `text[start:stop]`; parts begin at `starts`, sorted.

        A term counts in full once a part, and more at its beginning: names stand there.
        """
        low, high = np.searchsorted(self.places, (start, stop))
        part = np.searchsorted(starts, self.places[low:high], side="right") - 1
        low += int(np.searchsorted(part, 0))
        part, at, weight = (
            part[len(part) - (high - low) :],
            self.places[low:high],
            self.weights[low:high],
        )
        begins = starts[part]
        in_full = weight * (1.0 + (at - begins < BEGINNING) / 2)
        worth = np.where(self.previous[low:high] < begins, in_full, AGAIN * weight)
        found: Weights = np.zeros(len(starts))
        np.add.at(found, part, worth)
        return found

    def within(self, start: int, stop: int) -> float:
        """Score of `text[start:stop]` as one part."""
        low, high = np.searchsorted(self.places, (start, stop))
        return float(self.weights[low:high][self.previous[low:high] < start].sum())


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
        data = flat(text).lower()
        wanted = [*((term, NAMED) for term in self.terms), *((term, TROUBLE) for term in _TROUBLE)]
        found = [(_begins(_places(data, text, term), data), weight) for term, weight in wanted]
        found = [(places, weight) for places, weight in found if len(places)]
        weights = [
            np.full(len(places), weight / (1 + len(places) / COMMON_FROM))
            for places, weight in found
        ]
        previous = [np.append(-1, places[:-1]) for places, _ in found]
        none = np.zeros(0, dtype=np.intp)
        places = np.concatenate([none, *(places for places, _ in found)])
        order = np.argsort(places, kind="stable")
        return Hits(
            places[order],
            np.concatenate([np.zeros(0), *weights])[order],
            np.concatenate([none, *previous])[order],
        )


def _places(data: bytes, text: str, term: str) -> Places:
    """Where the term stands; nowhere where it is too common to tell places apart."""
    if term.isascii():
        lengths = [*map(len, data.split(term.encode(), COMMON_TO + 1))]
    else:
        lowered = text.lower()
        # A few letters have a longer lower case: places would shift.
        same = lowered if len(lowered) == len(text) else text
        lengths = [*map(len, same.split(term, COMMON_TO + 1))]
    n = len(lengths) - 1 if len(lengths) <= COMMON_TO + 1 else 0
    return np.cumsum(lengths[:n], dtype=np.intp) + np.arange(n) * len(term)


def _begins(places: Places, data: bytes) -> Places:
    """The places at which a word begins."""
    if not len(places):
        return places
    inside = _IN_WORD[codes_of(data)[places - 1]]
    inside[0] &= places[0] > 0
    found: Places = places[~inside]
    return found
