"""From scores to a text: what leaves whole, what stays in part, the target as a hard end.

Coarse to fine, as the LLMLingua papers have it: documents and sentences are chosen first, at more than the
target; of what stays, words are dropped until the target is met. Sentences leave with all they hold; in
those that stay every protected span does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import compress
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from contextkit.compression.base import Compressed, Count, ProtectedMass
from contextkit.compression.fill import keep_to_target
from contextkit.compression.spans import Word, sentences
from contextkit.compression.units import Units

OnProtected: TypeAlias = Literal["error", "stub"]
PROTECTED_SHARE = 0.6
"""How much of the target what is protected may take before further sentences leave."""
OUT = 1e6
"""How far below the others a word stands whose sentence was not chosen."""
_GAP = re.compile(r"\n[ \t]*(?:\r?\n[ \t]*)+")


class Part(NamedTuple):
    """A stretch of units that stays or leaves as one: a document, a sentence."""

    first: int
    stop: int
    tokens: float
    protected_tokens: float


def parts(bounds: Sequence[int], units: Sequence[Word], costs: Sequence[float]) -> list[Part]:
    """The units in parts that begin at `bounds`, sorted; a unit belongs where it begins."""
    columns, cost = Units.of(units), np.asarray(costs, dtype=np.float64)
    begins = np.searchsorted(columns.starts, np.asarray(bounds[1:], dtype=np.intp))
    edges = np.concatenate([[0], begins, [len(units)]])
    edges = edges[np.flatnonzero(np.diff(edges, prepend=-1))]
    tokens = np.diff(np.concatenate([[0.0], np.cumsum(cost)])[edges])
    kept = np.diff(np.concatenate([[0.0], np.cumsum(cost * columns.protected)])[edges])
    places = edges.tolist()
    return [*map(Part, places[:-1], places[1:], tokens.tolist(), kept.tolist())]


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
    columns = Units.of(units)
    found: list[float] = ((columns.stops - columns.starts) * rate).tolist()
    return found


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
            Units.of(units).take(np.array(inside, dtype=bool)),
            [*compress(scores, inside)],
            target_tokens,
            count,
            not all(inside),
        )
        return Compressed(told, tokens, target_tokens, count(told), self.kind, note)

    def _filled(
        self,
        text: str,
        units: Units,
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
            loose = replace(units, protected=np.zeros_like(units.protected))
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
    group = np.asarray(groups, dtype=np.intp)
    places = np.arange(len(group))
    # Of equal scores the earlier one is the better.
    order = np.lexsort((-places, np.asarray(scores, dtype=np.float64), group))
    begins = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(np.append(begins, len(order)))
    rank = places - np.repeat(begins, sizes)
    cut = 1 - np.array([rates[of] for of in group[order[begins]].tolist()], dtype=np.float64)
    found = np.empty(len(order))
    found[order] = (rank + 0.5) / np.repeat(sizes, sizes) - np.repeat(cut, sizes)
    level: list[float] = found.tolist()
    return level
