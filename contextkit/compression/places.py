"""What is known of a word from where it stands: in a sentence, a clause, a name, for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contextkit.compression.forms import (
    CAPITAL,
    CLOSES,
    COPULA,
    DIGIT,
    Forms,
    Numbers,
    Rows,
    side_by_side,
)
from contextkit.compression.spans import Word
from contextkit.compression.units import LINE_BREAK, Flags, Units, characters

COLUMNS = 27


@dataclass(frozen=True, slots=True)
class Layout:
    """For each unit the number of its sentence, of its clause, and of its paragraph, all ascending."""

    sentence: Numbers
    clause: Numbers
    paragraph: Numbers


def layout(
    text: str, units: Sequence[Word], sentences: Sequence[int], clauses: Sequence[int]
) -> Layout:
    """Where the units stand, by where sentences and clauses begin; a line break ends a paragraph."""
    starts = Units.of(units).starts
    lines = np.searchsorted(np.flatnonzero(characters(text)[0][1:] == LINE_BREAK), starts)
    return Layout(
        _numbered(starts, sentences),
        _numbered(starts, clauses),
        np.cumsum(np.diff(lines, prepend=lines[:1]) > 0, dtype=np.intp),
    )


def _numbered(starts: Numbers, bounds: Sequence[int]) -> Numbers:
    """Which part each start lies in, parts without any left out of the counting."""
    part = np.searchsorted(np.array(bounds, dtype=np.intp), starts, side="right")
    fresh = np.diff(part, prepend=part[:1]) > 0
    return np.asarray(np.cumsum(fresh), dtype=np.intp)


def place_rows(text: str, units: Sequence[Word], known: Forms, found: Layout, rows: Rows) -> Rows:
    """The columns of each unit `[n, COLUMNS]`; `rows` are those of its forms."""
    n = len(units)
    if not n:
        return np.zeros((0, COLUMNS), dtype=np.float32)
    capital, digit, closes, copulas = (
        (rows[:, column] > 0)[known.ids] for column in (CAPITAL, DIGIT, CLOSES, COPULA)
    )
    lows = {low: number for number, low in enumerate(dict.fromkeys(f.low for f in known.forms))}
    low = np.array([lows[f.low] for f in known.forms], dtype=np.intp)[known.ids]
    times = np.bincount(low)[low]
    # Forms are numbered as they appear.
    first = np.diff(np.maximum.accumulate(low), prepend=-1) > 0
    in_lower = np.bincount(low, weights=~capital & ~digit)[low] > 0
    within, size = _within(found.sentence)
    within_clause, clause_size = _within(found.clause)
    run, run_place = _runs(capital | digit, closes)
    copula = _so_far(copulas, found.sentence)
    names = _so_far(capital, found.sentence)
    last = found.sentence[-1]
    columns = (
        np.log2(1 + times) / 4,
        first,
        capital & in_lower,
        capital & (within == 0),
        capital & first & (within > 0),
        run > 1,
        np.minimum(run, 6) / 4,
        np.minimum(run_place, 6) / 4,
        _inside(known),
        _quoted(known),
        Units.of(units).protected,
        within / size,
        np.minimum(within, 40) / 20,
        np.minimum(size, 80) / 40,
        found.sentence / max(1, last + 1),
        found.sentence == 0,
        found.sentence == last,
        np.arange(n) / n,
        np.log2(n) / 10 * np.ones(n),
        within_clause == 0,
        np.minimum(within_clause, 12) / 8,
        np.minimum(clause_size, 20) / 10,
        np.minimum(found.clause - found.clause[_firsts(found.sentence)], 6) / 4,
        copula > 0,
        np.minimum(copula, 3) / 2,
        np.minimum(names, 8) / 4,
        _line_first(text, units),
    )
    return side_by_side(columns, n)


def _firsts(part: Numbers) -> Numbers:
    """The first unit of each unit's part."""
    found: Numbers = np.flatnonzero(np.diff(part, prepend=-1))[part]
    return found


def _within(part: Numbers) -> tuple[Numbers, Numbers]:
    """The place of each unit in its part, and the part's length."""
    return np.arange(len(part)) - _firsts(part), np.bincount(part)[part]


def _so_far(marked: Flags, part: Numbers) -> Numbers:
    """How many marked units stand before each one in its part."""
    sums = np.concatenate([[0], np.cumsum(marked)])
    return np.asarray(sums[:-1] - sums[_firsts(part)], dtype=np.intp)


def _runs(joins: Flags, closes: Flags) -> tuple[Numbers, Numbers]:
    """The length of the run of capitals and numbers around each unit, and its place in it; 0 outside."""
    starts = joins.copy()
    starts[1:] &= ~(joins[:-1] & ~closes[:-1])
    number = np.cumsum(starts)
    length = np.bincount(number, weights=joins)[number].astype(np.intp)
    at = np.arange(len(joins)) - np.maximum.accumulate(np.where(starts, np.arange(len(joins)), 0))
    return np.where(joins, length, 0), np.where(joins, at, 0)


def _inside(known: Forms) -> Flags:
    """Whether a unit stands in brackets, or opens one; a closing one too many is passed over."""
    change = np.array([form.depth for form in known.forms], dtype=np.intp)[known.ids]
    depth = np.cumsum(change)
    depth -= np.minimum(np.minimum.accumulate(depth), 0)
    return np.asarray((depth > 0) | (depth - change > 0))


def _quoted(known: Forms) -> Flags:
    """Whether a unit stands between quotation marks, or has one."""
    marks = np.array([form.quotes for form in known.forms], dtype=np.intp)[known.ids]
    before = np.cumsum(marks) - marks
    return np.asarray((marks > 0) | (before % 2 == 1))


def _line_first(text: str, units: Sequence[Word]) -> Flags:
    """Whether a unit begins a line."""
    found: Flags = characters(text)[0][Units.of(units).starts] == LINE_BREAK
    return found
