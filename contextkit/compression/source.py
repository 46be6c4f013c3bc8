"""What every method by words begins with: does the text fit as it is, and if not, what is it made of."""

from __future__ import annotations

from dataclasses import dataclass

from contextkit.compression.base import Compressed, Count
from contextkit.compression.phrases import phrases
from contextkit.compression.telling import Part, costs_of, parts, sentence_bounds
from contextkit.compression.units import Units, units_of


@dataclass(frozen=True, slots=True)
class Source:
    """A text over its target: its tokens, the units that stay or leave whole, and what each costs."""

    text: str
    tokens: int
    target: int
    count: Count
    units: Units
    costs: list[float]

    def sentences(self) -> list[Part]:
        """The units in sentences."""
        return parts(sentence_bounds(self.text), self.units, self.costs)


def begin(
    kind: str, text: str, target: int, count: Count, *, names_whole: bool = True
) -> Source | Compressed:
    """The text in units, names as one where wanted; what fits comes back unchanged."""
    tokens = count(text)
    if tokens <= target:
        return Compressed(text, tokens, target, tokens, kind, "fits")
    units = units_of(text)
    if names_whole:
        units = phrases(text, units)
    return Source(text, tokens, target, count, units, costs_of(units, text, tokens))
