"""From scores to a text: what leaves whole, what stays in part, the target as a hard end.

Coarse to fine, as the LLMLingua papers have it: documents and sentences are chosen first, at more than the
target; of what stays, words are dropped until the target is met. Sentences leave with all they hold; in
those that stay every protected span does.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, compress
from operator import itemgetter, mul
from typing import Literal, TypeAlias

from contextkit.compression.base import Compressed, Count, ProtectedMass
from contextkit.compression.fill import keep_to_target
from contextkit.compression.spans import Word, sentences

OnProtected: TypeAlias = Literal["error", "stub"]
PROTECTED_SHARE = 0.6
"""How much of the target what is protected may take before further sentences leave."""
OUT = 1e6
"""How far below the others a word stands whose sentence was not chosen."""
_GAP = re.compile(r"\n[ \t]*(?:\r?\n[ \t]*)+")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of units that stays or leaves as one: a document, a sentence."""

    first: int
    stop: int
    tokens: float
    protected_tokens: float


def parts(bounds: Sequence[int], units: Sequence[Word], costs: Sequence[float]) -> list[Part]:
    """The units in parts that begin at `bounds`, sorted; a unit belongs where it begins."""
    starts = [*map(itemgetter(0), units)]
    edges = [*(bisect_left(starts, bound) for bound in bounds[1:]), len(units)]
    whole = [0.0, *accumulate(costs)]
    kept = [0.0, *accumulate(map(mul, costs, map(itemgetter(2), units)))]
    found: list[Part] = []
    first = 0
    for stop in edges:
        if stop > first:
            found.append(Part(first, stop, whole[stop] - whole[first], kept[stop] - kept[first]))
            first = stop
    return found


def choose(
    found: Sequence[Part], worths: Sequence[float], room: float, protected_room: float
) -> set[int]:
    """Which parts stay: the best until `room` tokens are over, of protected ones `protected_room` at most.

    The best one always stays.
    """
    chosen: set[int] = set()
    tokens = protected = 0.0
    for index in sorted(range(len(found)), key=lambda i: (-worths[i], i)):
        part = found[index]
        heavy = part.protected_tokens and protected + part.protected_tokens > protected_room
        if chosen and (tokens >= room or heavy):
            continue
        chosen.add(index)
        tokens += part.tokens
        protected += part.protected_tokens
    return chosen


def stay(found: Sequence[Part], chosen: set[int], n_units: int) -> list[bool]:
    """For each unit whether its part was chosen."""
    inside = [False] * n_units
    for index in chosen:
        part = found[index]
        inside[part.first : part.stop] = [True] * (part.stop - part.first)
    return inside


def within_mass(
    found: Sequence[Part], worths: Sequence[float], target: int, n_units: int
) -> list[bool]:
    """Every part, but for those of least worth where what is protected alone would be over the target."""
    if sum(part.protected_tokens for part in found) <= PROTECTED_SHARE * target:
        return [True] * n_units
    return stay(found, choose(found, worths, float("inf"), PROTECTED_SHARE * target), n_units)


def costs_of(units: Sequence[Word], text: str, tokens: int) -> list[float]:
    """About what each unit costs: its share of the characters."""
    rate = tokens / max(1, len(text))
    return [(stop - start) * rate for start, stop, _ in units]


def sentence_bounds(text: str) -> list[int]:
    """Where sentences begin."""
    return [start for start, _ in sentences(text)]


def document_bounds(text: str) -> list[int]:
    """Where documents begin: at the start and behind empty lines."""
    return [0, *(match.end() for match in _GAP.finditer(text) if match.end() < len(text))]


def documents_of(found: Sequence[Part], n_units: int) -> list[int]:
    """For each unit the number of its part."""
    of = [0] * n_units
    for index, part in enumerate(found):
        of[part.first : part.stop] = [index] * (part.stop - part.first)
    return of


@dataclass(frozen=True, slots=True)
class Teller:
    """What every method by words ends with."""

    kind: str
    on_protected: OnProtected
    handle: str = ""

    def tell(
        self,
        text: str,
        units: Sequence[Word],
        scores: Sequence[float],
        inside: Sequence[bool],
        target_tokens: int,
        count: Count,
        note: str = "",
        tokens: int | None = None,
    ) -> Compressed:
        """The text in at most `target_tokens`, the best-scored units first, those `inside` before others.

        `error`: whatever is protected stays, in every sentence; raises `ProtectedMass`. `stub`: units that
        are not inside leave with what they hold, and one line at the end says so with the handle.
        `tokens` of the text, where they are known.
        """
        count = lru_cache(maxsize=8)(count)
        tokens = count(text) if tokens is None else tokens
        if self.on_protected == "error":
            lowered = [s if stays else s - OUT for s, stays in zip(scores, inside, strict=True)]
            told = keep_to_target(text, units, lowered, target_tokens, count)
            return Compressed(told, tokens, target_tokens, count(told), self.kind, note)
        told = self._filled(
            text,
            [*compress(units, inside)],
            [*compress(scores, inside)],
            target_tokens,
            count,
            not all(inside),
        )
        return Compressed(told, tokens, target_tokens, count(told), self.kind, note)

    def _filled(
        self,
        text: str,
        units: Sequence[Word],
        scores: Sequence[float],
        target_tokens: int,
        count: Count,
        left_out: bool,
    ) -> str:
        """The units that fit, and the line with the handle where more than words left."""
        tail = self._tail(left_out, target_tokens, count)
        room = target_tokens - (count(tail) if tail else 0)
        try:
            told = keep_to_target(text, units, scores, room, count)
        except ProtectedMass:
            tail = self._tail(True, target_tokens, count)
            room = target_tokens - (count(tail) if tail else 0)
            loose = [Word(unit.start, unit.stop, False) for unit in units]
            told = keep_to_target(text, loose, scores, room, count)
        return told + tail if count(told + tail) <= target_tokens else told

    def _tail(self, left_out: bool, target_tokens: int, count: Count) -> str:
        """The line that names the handle, where it is no great part of the target."""
        if not (self.handle and left_out):
            return ""
        tail = f"\n[… more in {self.handle}]"
        return tail if count(tail) <= target_tokens / 4 else ""


def levelled(
    scores: Sequence[float], groups: Sequence[int], rates: dict[int, float]
) -> list[float]:
    """Scores that make one threshold of many: above 0 stands what its group's own rate would keep.

    Within a group only the order of scores counts, so a segment of rare words takes no more than its rate.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    found = [0.0] * len(scores)
    for group, indices in members.items():
        indices.reverse()  # of equal scores the earlier one is the better
        indices.sort(key=scores.__getitem__)
        for rank, index in enumerate(indices):
            found[index] = (rank + 0.5) / len(indices) - (1 - rates[group])
    return found
