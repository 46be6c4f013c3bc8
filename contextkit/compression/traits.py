"""What is known of each word of a text before a model is asked: shape, place, neighbours, the question.

A row a word; the columns are those that the shipped classifier was trained on, so they change together.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from contextkit.compression.spans import Word, sentences
from contextkit.compression.vocabulary import FUNCTION, bits, spoken, stem

Rows = npt.NDArray[np.float32]

_MONTHS = frozenset(
    "january february march april may june july august september october november december".split()
)
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d(?:s|[–-]\d+)?")
_NEIGHBOURS = (
    "the a an of to in on at by for with from as and or is are was were be been he she it its his "
    "their who which that called named known located born based between during when while including "
    "such not"
).split()
_PLACE = {word: place for place, word in enumerate(_NEIGHBOURS)}
_WHICH = r"\b(?:what|which) (?:\w+ )?"
_EXPECTS = (
    r"\bhow (?:many|much|long|old|far|tall|big|large|deep|high|often)\b|\bpopulation\b",
    rf"\bwhen\b|{_WHICH}(?:year|date|day|month|century|decade|time)\b",
    r"\bwho(?:m|se)?\b|\b(?:singer|actor|author|president|wife|husband)\b",
    rf"\bwhere\b|{_WHICH}(?:city|country|state|place|county|region)\b",
    r"\bwhy\b|\bhow (?:do|does|did|is|are|to)\b",
)
"""Questions for a number, a time, a person, a place, a cause."""
NEAR = 10
"""Words on both sides within which a question's terms count as near."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A word as it is written, looked at once."""

    text: str
    low: str
    stem: str
    bits: float
    capital: bool
    digit: bool
    year: bool
    month: bool
    function: bool
    opens: bool
    closes: bool


def shape(word: str) -> Shape:
    """What a word with its punctuation looks like."""
    low = spoken(word)
    core = word.strip()
    first = next((c for c in core if c.isalnum()), "")
    digit = any(c.isdigit() for c in low)
    return Shape(
        core,
        low,
        stem(low),
        0.0 if not low else 0.5 if low in FUNCTION else bits(low),
        first.isupper(),
        digit,
        digit and _YEAR.fullmatch(low) is not None,
        low in _MONTHS and first.isupper(),
        low in FUNCTION,
        core[:1] in "(\"“'‘[",
        core[-1:] in ',;:)"”.!?]',
    )


def expects(question: str) -> list[float]:
    """Which kind of answer a question asks for; the last column where none is told."""
    lowered = question.lower()
    found = [1.0 if re.search(pattern, lowered) else 0.0 for pattern in _EXPECTS]
    return [*found, 0.0 if any(found) else 1.0]


def traits(text: str, units: Sequence[Word], question: str = "") -> Rows:
    """A row of columns for each unit; the columns of the question are zero where there is none."""
    shapes = [shape(text[unit.start : unit.stop]) for unit in units]
    bounds = [start for start, _ in sentences(text)]
    of = [bisect_right(bounds, unit.start) - 1 for unit in units]
    plain = _plain(text, units, shapes, of, len(bounds))
    asked = _asked(text, units, shapes, of, bounds, question)
    return np.concatenate([plain, asked], axis=1)


def _plain(
    text: str, units: Sequence[Word], shapes: Sequence[Shape], of: Sequence[int], n_sentences: int
) -> Rows:
    n = len(units)
    tf = Counter(s.low for s in shapes)
    lower_seen = {s.low for s in shapes if not s.capital}
    sizes = Counter(of)
    runs = _runs(shapes)
    seen: set[str] = set()
    depth, quoted = 0, False
    out = np.zeros((n, 30 + 2 * len(_NEIGHBOURS)), dtype=np.float32)
    place = 0
    edges = [_edge(text, units, i) for i in range(n)]
    for i, s in enumerate(shapes):
        place = place + 1 if i and of[i] == of[i - 1] else 0
        inside = depth > 0 or "(" in s.text
        depth = max(0, depth + s.text.count("(") - s.text.count(")"))
        inquote = quoted or '"' in s.text or "“" in s.text
        quoted ^= s.text.count('"') % 2 == 1
        before = shapes[i - 1] if i else None
        after = shapes[i + 1] if i + 1 < n else None
        out[i, :30] = (
            s.bits / 16,
            np.log2(1 + tf[s.low]) / 4,
            s.function,
            s.capital,
            s.capital and place == 0,
            s.capital and s.text.upper() == s.text and len(s.low) > 1,
            s.digit,
            s.year,
            s.month,
            runs[i] > 1,
            min(runs[i], 6) / 4,
            inside,
            inquote,
            units[i].protected,
            len(s.low) / 10,
            s.low.endswith("ing"),
            s.low.endswith("ed"),
            s.low.endswith("ly"),
            s.low.endswith("s"),
            place / sizes[of[i]],
            of[i] / max(1, n_sentences),
            of[i] == 0,
            s.low not in seen,
            min(sizes[of[i]], 80) / 40,
            before is not None and before.closes,
            s.closes,
            s.capital and s.low in lower_seen,
            edges[i],
            (before.bits if before else 0) / 16,
            (after.bits if after else 0) / 16,
        )
        seen.add(s.low)
        for other, base in ((before, 30), (after, 30 + len(_NEIGHBOURS))):
            if other is not None and other.low in _PLACE:
                out[i, base + _PLACE[other.low]] = 1
    return out


def _edge(text: str, units: Sequence[Word], i: int) -> float:
    """Whether a unit begins a line: a heading, an item, a paragraph."""
    start = units[i].start
    return float(start == 0 or text[start - 1] == "\n")


def _runs(shapes: Sequence[Shape]) -> list[int]:
    """For each word the length of the run of capitals and numbers that it stands in."""
    runs = [0] * len(shapes)
    start = 0
    for i in range(len(shapes) + 1):
        joins = i < len(shapes) and (shapes[i].capital or shapes[i].digit)
        if i > start and (not joins or shapes[i - 1].closes):
            runs[start:i] = [i - start] * (i - start)
            start = i
        if not joins:
            start = i + 1
    return runs


def _asked(
    text: str,
    units: Sequence[Word],
    shapes: Sequence[Shape],
    of: Sequence[int],
    bounds: Sequence[int],
    question: str,
) -> Rows:
    n = len(units)
    kinds = expects(question)
    out = np.zeros((n, 17 + len(kinds) * 5), dtype=np.float32)
    terms = {
        s.stem: s.bits
        for s in (shape(word) for word in question.split())
        if s.low and not s.function
    }
    total = sum(terms.values())
    if not total or not n:
        return out
    weight = np.array([terms.get(s.stem, 0.0) for s in shapes], dtype=np.float32) / total
    n_sentences = len(bounds)
    cover = _cover(shapes, of, n_sentences, terms, total)
    block = _blocks(text, units)
    cover_block = _cover(shapes, block, block[-1] + 1, terms, total)
    padded = np.concatenate([[0], cover, [0]])
    beside = np.maximum(padded[:-2], padded[2:])
    near = _near(weight, shapes)
    distance = _distance(weight)
    sentence, paragraph = np.array(of), np.array(block)
    out[:, 0] = 1
    out[:, 1] = weight
    out[:, 2] = weight > 0
    out[:, 3] = cover[sentence]
    out[:, 4] = cover[sentence] / max(float(cover.max()), 1e-6)
    out[:, 5] = beside[sentence]
    out[:, 6] = cover_block[paragraph]
    out[:, 7] = cover_block[paragraph] / max(float(cover_block.max()), 1e-6)
    out[:, 8] = near
    out[:, 9] = 1 / (1 + distance)
    out[:, 10] = np.minimum(distance, 30) / 30
    out[:, 11] = cover[sentence] >= cover.max() - 1e-6
    out[:, 12] = cover_block[paragraph] >= cover_block.max() - 1e-6
    pairs = _pairs(question)
    cover_pairs = _cover_pairs(shapes, of, n_sentences, pairs)
    block_pairs = _cover_pairs(shapes, block, block[-1] + 1, pairs)
    out[:, 13] = cover_pairs[sentence]
    out[:, 14] = block_pairs[paragraph]
    out[:, 15] = block_pairs[paragraph] / max(float(block_pairs.max()), 1e-6)
    out[:, 16] = cover_block[paragraph] ** 4
    named = np.array(
        [
            (
                s.capital,
                s.digit,
                s.year or s.month,
                s.function,
                not s.capital and not s.digit and not s.function,
            )
            for s in shapes
        ],
        dtype=np.float32,
    )
    for k, expected in enumerate(kinds):
        if expected:
            out[:, 17 + 5 * k : 22 + 5 * k] = named
    return out


def _cover(
    shapes: Sequence[Shape], of: Sequence[int], n: int, terms: dict[str, float], total: float
) -> npt.NDArray[np.float32]:
    """For each part the share of the question's bits that its words have, each term once."""
    found: list[set[str]] = [set() for _ in range(n)]
    for s, part in zip(shapes, of, strict=True):
        if s.stem in terms:
            found[part].add(s.stem)
    return np.array([sum(terms[t] for t in each) / total for each in found], dtype=np.float32)


def _pairs(question: str) -> set[tuple[str, str]]:
    shapes = [s for s in map(shape, question.split()) if s.low]
    return {(a.stem, b.stem) for a, b in pairwise(shapes) if not (a.function and b.function)}


def _cover_pairs(
    shapes: Sequence[Shape], of: Sequence[int], n: int, pairs: set[tuple[str, str]]
) -> npt.NDArray[np.float32]:
    """For each part the share of the question's pairs of neighbours that stand in it."""
    found: list[set[tuple[str, str]]] = [set() for _ in range(n)]
    for (a, b), part in zip(pairwise(shapes), of, strict=False):
        if (a.stem, b.stem) in pairs:
            found[part].add((a.stem, b.stem))
    return np.array([len(each) / max(1, len(pairs)) for each in found], dtype=np.float32)


def _blocks(text: str, units: Sequence[Word]) -> list[int]:
    """The number of the paragraph that each unit stands in; an empty line or a list's line ends one."""
    found: list[int] = []
    at = 0
    for i, unit in enumerate(units):
        if i and "\n" in text[units[i - 1].start : unit.start]:
            at += 1
        found.append(at)
    return found


def _near(weight: npt.NDArray[np.float32], shapes: Sequence[Shape]) -> npt.NDArray[np.float32]:
    """The question's bits within `NEAR` words."""
    sums = np.concatenate([[0], np.cumsum(weight)])
    places = np.arange(len(weight))
    low, high = np.maximum(places - NEAR, 0), np.minimum(places + NEAR + 1, len(weight))
    return np.asarray(sums[high] - sums[low], dtype=np.float32)


def _distance(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Words to the nearest term of the question."""
    n = len(weight)
    places = np.arange(n)
    hits = np.flatnonzero(weight)
    if not len(hits):
        return np.full(n, n, dtype=np.float32)
    after = np.searchsorted(hits, places)
    right = hits[np.minimum(after, len(hits) - 1)]
    left = hits[np.maximum(after - 1, 0)]
    nearest = np.minimum(np.abs(places - left), np.abs(right - places))
    return np.asarray(nearest, dtype=np.float32)
