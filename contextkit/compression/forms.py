"""What is known of a word as it is written, wherever it stands: rare or common, name, number, glue.

A text has far fewer written words than words, so each is looked at once; `forms` gives a row for each and,
for every unit of the text, the number of its row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from contextkit.compression.spans import Word
from contextkit.compression.units import Units
from contextkit.compression.unspaced import DENIES
from contextkit.compression.vocabulary import FUNCTION, bits, row, spoken, stem, vectors

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.intp]

_MONTHS = frozenset(
    "january february march april may june july august september october november december".split()
)
_NUMERALS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred "
    "thousand million billion first second third fourth fifth sixth seventh last".split()
)
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d(?:s|[–-]\d+)?")
_GLUE = (
    "the a an of to in on at by for with from as and or is are was were be been being he she it its his "
    "her their who which that called named known located born based between during when while including "
    "such not but also has have had into about after before since until through than then other these "
    "this may can used made won wrote written played released directed means term part"
).split()
_PLACE = {word: place for place, word in enumerate(_GLUE)}
_COPULAS = frozenset("is are was were be means refers became".split())
_NEGATIONS = frozenset(
    "no not nor never none nobody nothing nowhere neither without unless except cannot hardly barely fail "
    "fails failed false".split()
)
COORDINATES, SUBORDINATES = 1, 2
_JOINS = {
    **dict.fromkeys(("and", "but", "or"), COORDINATES),
    **dict.fromkeys(
        "which who whom whose that where when while because although though since".split(),
        SUBORDINATES,
    ),
}
_LETTERS = re.compile(r"[^\W_]")
_DENIES = re.compile(DENIES)
ROWS = 4096
"""Units that are worked out at once; more do not stay in a processor's cache."""
_SHAPES = 27
_COLUMNS = Struct(f"{_SHAPES}f")
_GLUED = _SHAPES + len(_GLUE)


class Form(NamedTuple):
    """One written word: how it is spoken, its stem, its bits, and its columns up to the glue."""

    low: str
    stem: str
    bits: float
    glue: int
    depth: int
    """Brackets that it opens less those that it closes."""
    quotes: int
    turns: bool
    """Whether it denies what it stands with."""
    joins: int
    """Whether a clause may begin with it: `COORDINATES`, `SUBORDINATES`, or 0."""
    row: int
    """Its row in the table of words, -1 for one that is not in it."""
    function: bool
    """Whether it is one of the words that say next to nothing by themselves."""
    shape: bytes
    """Its columns up to the glue, as float32."""


def side_by_side(columns: Sequence[npt.NDArray[Any] | None], n: int) -> Rows:
    """The columns `[n]` as rows `[n, n_columns]`; zeros where there is none."""
    rows = np.zeros((n, len(columns)), dtype=np.float32)
    for at in range(0, n, ROWS):
        for number, column in enumerate(columns):
            if column is not None:
                rows[at : at + ROWS, number] = column[at : at + ROWS]
    return rows


@dataclass(frozen=True, slots=True)
class Forms:
    """The written words of a text, what each looks like, and which of them each unit is."""

    written: Sequence[str]
    forms: Sequence[Form]
    ids: Numbers

    def rows(self) -> Rows:
        """The columns of each form `[n_forms, n_columns]`: its shape, which glue it is, its vector."""
        told = vectors()
        rows = np.zeros((len(self.forms), _GLUED + told.shape[1]), dtype=np.float32)
        if self.forms:
            shapes = np.frombuffer(b"".join(form.shape for form in self.forms), dtype=np.float32)
            rows[:, :_SHAPES] = shapes.reshape(-1, _SHAPES)
        glue = np.array([form.glue for form in self.forms], dtype=np.intp)
        known = np.flatnonzero(glue >= 0)
        rows[known, _SHAPES + glue[known]] = 1
        rows[:, _GLUED:] = told[[form.row for form in self.forms]]
        return rows

    def of(self, values: Sequence[float]) -> Rows:
        """One value a form, spread over the units."""
        return np.array(values, dtype=np.float32)[self.ids]

    def spoken(self) -> Numbers:
        """For each unit the number of its word, however it is written; 0 for one that is none."""
        known = {"": 0}
        numbers = [known.setdefault(form.low, len(known)) for form in self.forms]
        return np.array(numbers, dtype=np.intp)[self.ids]


def forms(text: str, units: Sequence[Word]) -> Forms:
    """The written words of the units."""
    written = [*map(str.strip, Units.of(units).written(text))]
    place = {word: number for number, word in enumerate(dict.fromkeys(written))}
    ids = np.fromiter(map(place.__getitem__, written), dtype=np.intp, count=len(written))
    return Forms([*place], [*map(form, place)], ids)


@lru_cache(maxsize=65_536)
def form(word: str) -> Form:
    """What a word with its punctuation looks like."""
    low = spoken(word)
    function = low in FUNCTION
    said = 0.0 if not low else 0.5 if function else bits(low)
    first = _LETTERS.search(word)
    capital = first is not None and first.group().isupper()
    digit = not low.isalpha() and any(map(str.isdigit, low))
    last = word[-1:]
    shape = (
        said / 16,
        function,
        capital,
        capital and len(low) > 1 and word.upper() == word,
        digit,
        digit and _YEAR.fullmatch(low) is not None,
        capital and low in _MONTHS,
        low in _NUMERALS,
        len(low) / 10,
        low.endswith("ing"),
        low.endswith("ed"),
        low.endswith("ly"),
        low.endswith("s"),
        low.endswith(("er", "or", "ist", "ian", "man")),
        low.endswith(("tion", "ment", "ness", "ity", "ism", "ence", "ance")),
        low.endswith(("al", "ic", "ous", "ive", "able", "ish", "ese")),
        low.endswith(("'s", "’s")),
        "-" in low,
        "$" in word or "%" in word or "£" in word or "€" in word,
        word[:1] in "(\"“'‘[" and word != "",
        last in ',;:)"”.!?]' and word != "",
        last == ",",
        last == ")" or word[-2:-1] == ")",
        last in '"”' and word != "",
        low in _COPULAS,
        " " in word,
        not low,
    )
    depth, quotes = (0, 0) if word.isalpha() else _marks(word)
    turns = low in _NEGATIONS or low.endswith(("n't", "n’t")) or _DENIES.search(low) is not None
    glue, joins = _PLACE.get(low, -1), _JOINS.get(low, 0)
    return Form(
        low,
        stem(low),
        said,
        glue,
        depth,
        quotes,
        turns,
        joins,
        row(low),
        function,
        _COLUMNS.pack(*shape),
    )


def _marks(word: str) -> tuple[int, int]:
    """Brackets that are opened less those that are closed, and quotation marks."""
    depth = word.count("(") + word.count("[") - word.count(")") - word.count("]")
    return depth, word.count('"') + word.count("“") + word.count("”")


CAPITAL, DIGIT, YEAR, MONTH, NUMERAL, FUNCTIONAL, CLOSES, COPULA = 2, 4, 5, 6, 7, 1, 20, 24
"""Columns that others build on."""
