"""What a question tells of each word: how near the question's words are, is it what is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from contextkit.compression.forms import (
    CAPITAL,
    DIGIT,
    FUNCTIONAL,
    MONTH,
    NUMERAL,
    YEAR,
    Forms,
    Numbers,
    Rows,
    form,
    side_by_side,
)
from contextkit.compression.places import Layout
from contextkit.compression.units import Flags

_WHICH = r"\b(?:what|which) (?:\w+ )?"
_EXPECTS = (
    r"\bhow (?:many|much|long|old|far|tall|big|large|deep|high|often)\b|\bpopulation\b|\bnumber of\b",
    rf"\bwhen\b|{_WHICH}(?:year|date|day|month|century|decade|time|season)\b",
    r"\bwho(?:m|se)?\b|\b(?:singer|actor|author|president|wife|husband|father|mother|director)\b",
    rf"\bwhere\b|{_WHICH}(?:city|country|state|place|county|region|river|continent|part)\b",
    r"\bwhy\b|\bhow (?:do|does|did|is|are|to|can)\b|\bwhat causes?\b",
    r"\bnames?\b|\btitle\b|\bcalled\b|\b(?:song|movie|film|book|band|team|company|show|episode)\b",
    r"\bmeans?\b|\bmeaning\b|\bstands? for\b|\bdefin|\bwhat (?:is|are)\b|\btypes?\b|\bkinds?\b",
)
"""Questions for a number, a time, a person, a place, a cause, a title, a meaning."""
CLASSES = 7
SPANS = (3, 10, 25)
"""Words on both sides within which a question's terms count as near."""
FAR = 40
COLUMNS = 25 + (len(_EXPECTS) + 1) * (CLASSES + 1)


@dataclass(frozen=True, slots=True)
class Question:
    """The terms of a question with their bits, its pairs of neighbours, and what it asks for."""

    terms: Mapping[str, float]
    pairs: Mapping[tuple[str, str], int]
    kinds: Sequence[float]

    @classmethod
    def of(cls, text: str) -> Question:
        """Function words are no terms; a pair has one at most."""
        said = [each for each in map(form, text.split()) if each.low]
        terms = {each.stem: each.bits for each in said if not each.function}
        pairs = {(a.stem, b.stem): 0 for a, b in pairwise(said) if not (a.function and b.function)}
        numbered = {pair: number for number, pair in enumerate(pairs)}
        return cls(terms, numbered, _expects(text))


def _expects(question: str) -> list[float]:
    """Which kind of answer a question asks for; the last where none is told."""
    lowered = question.lower()
    found = [1.0 if re.search(pattern, lowered) else 0.0 for pattern in _EXPECTS]
    return [*found, 0.0 if any(found) else 1.0]


def asked_rows(known: Forms, found: Layout, rows: Rows, question: str) -> Rows:
    """The columns of each unit `[n, COLUMNS]`; zero where the question has no term."""
    n = len(known.ids)
    wanted = Question.of(question)
    total = sum(wanted.terms.values())
    if not total or not n:
        return np.zeros((n, COLUMNS), dtype=np.float32)
    number = {stem: at for at, stem in enumerate(wanted.terms)}
    worth = np.array([*wanted.terms.values(), 0.0], dtype=np.float32) / total
    term = np.array([number.get(each.stem, -1) for each in known.forms], dtype=np.intp)[known.ids]
    weight = worth[term]
    pair = _pair_of(known, wanted.pairs)
    pair_worth = np.append(np.full(len(wanted.pairs), 1 / max(1, len(wanted.pairs))), 0)
    sentence = _cover(term, found.sentence, worth)
    clause = _cover(term, found.clause, worth)
    paragraph = _cover(term, found.paragraph, worth)
    pairs = _cover(pair, found.sentence, pair_worth)
    wide = _cover(pair, found.paragraph, pair_worth)
    left, right = _distances(weight > 0)
    rarest_left, rarest_right = _distances(weight >= max(weight.max(), 1e-6) - 1e-6)
    ones = np.ones(n)
    columns: list[npt.NDArray[Any] | None] = [
        ones,
        weight,
        weight > 0,
        sentence[found.sentence],
        _to_best(sentence)[found.sentence],
        _beside(sentence)[found.sentence],
        paragraph[found.paragraph],
        _to_best(paragraph)[found.paragraph],
        paragraph[found.paragraph] ** 4,
        sentence[found.sentence] >= sentence.max() - 1e-6,
        paragraph[found.paragraph] >= paragraph.max() - 1e-6,
        pairs[found.sentence],
        wide[found.paragraph],
        _to_best(wide)[found.paragraph],
        clause[found.clause],
        _to_best(clause)[found.clause],
        _beside(clause)[found.clause],
        1 / (1 + np.minimum(left, right)),
        np.minimum(left, FAR) / FAR,
        np.minimum(right, FAR) / FAR,
        np.minimum(rarest_left, FAR) / FAR,
        np.minimum(rarest_right, FAR) / FAR,
        *(_near(weight, span) for span in SPANS),
    ]
    named = [column[known.ids] for column in _classes(rows)]
    for kind in wanted.kinds:
        columns += [ones, *named] if kind else [None] * (CLASSES + 1)
    return side_by_side(columns, n)


def _classes(rows: Rows) -> Sequence[npt.NDArray[Any]]:
    """Of each form: name, number, year, month, numeral, glue, or plain."""
    capital, digit, function = rows[:, CAPITAL], rows[:, DIGIT], rows[:, FUNCTIONAL]
    plain = (capital == 0) & (digit == 0) & (function == 0)
    return capital, digit, rows[:, YEAR], rows[:, MONTH], rows[:, NUMERAL], function, plain


def _pair_of(known: Forms, pairs: Mapping[tuple[str, str], int]) -> Numbers:
    """For each unit the number of the question's pair that it and the next one are, else -1."""
    stems = {stem for pair in pairs for stem in pair}
    own = {stem: at for at, stem in enumerate(sorted(stems))}
    of = np.array([own.get(each.stem, -1) for each in known.forms], dtype=np.intp)[known.ids]
    found = np.full(len(of), -1, dtype=np.intp)
    ids: list[int] = known.ids.tolist()
    places: list[int] = np.flatnonzero((of[:-1] >= 0) & (of[1:] >= 0)).tolist()
    for place in places:
        both = known.forms[ids[place]].stem, known.forms[ids[place + 1]].stem
        found[place] = pairs.get(both, -1)
    return found


def _cover(term: Numbers, part: Numbers, worth: Rows) -> Rows:
    """For each part the worth of the terms that stand in it, each term once."""
    hits = np.flatnonzero(term >= 0)
    pairs = np.unique(np.stack([part[hits], term[hits]]), axis=1)
    sums = np.bincount(pairs[0], weights=worth[pairs[1]], minlength=int(part[-1]) + 1)
    return np.asarray(sums, dtype=np.float32)


def _to_best(cover: Rows) -> Rows:
    return cover / max(float(cover.max()), 1e-6)


def _beside(cover: Rows) -> Rows:
    padded = np.concatenate([[0], cover, [0]])
    return np.asarray(np.maximum(padded[:-2], padded[2:]), dtype=np.float32)


def _near(weight: Rows, span: int) -> Rows:
    """The question's bits within so many words."""
    sums = np.concatenate([[0], np.cumsum(weight)])
    places = np.arange(len(weight))
    low, high = np.maximum(places - span, 0), np.minimum(places + span + 1, len(weight))
    return np.asarray(sums[high] - sums[low], dtype=np.float32)


def _distances(hit: Flags) -> tuple[Numbers, Numbers]:
    """Words back and forth to the nearest hit, itself among them."""
    n = len(hit)
    places = np.arange(n)
    before = np.maximum.accumulate(np.where(hit, places, -n))
    after = np.minimum.accumulate(np.where(hit, places, 2 * n)[::-1])[::-1]
    return places - before, after - places
