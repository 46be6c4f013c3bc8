"""What is known of each word of a text before a model is asked: its form, its place, the question.

The columns are those that the shipped classifier was trained on, so they change together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contextkit.compression.asked import COLUMNS as ASKED
from contextkit.compression.asked import asked_rows
from contextkit.compression.forms import (
    COORDINATES,
    SUBORDINATES,
    Forms,
    Numbers,
    Rows,
    forms,
)
from contextkit.compression.places import Layout, layout, place_rows
from contextkit.compression.spans import Word, clauses, sentences
from contextkit.compression.units import Units


@dataclass(frozen=True, slots=True)
class Traits:
    """`rows` has a row for each written word, the others one for each unit.

    `asked` is None without a question.
    """

    forms: Forms
    layout: Layout
    uncut: Numbers
    """For each unit the number of its clause, where a sentence with a negation is one."""
    rows: Rows
    places: Rows
    asked: Rows | None

    def dense(self) -> Rows:
        """All columns of each unit, as a network is trained on them."""
        n = len(self.forms.ids)
        asked = np.zeros((n, ASKED), np.float32) if self.asked is None else self.asked
        return np.concatenate([self.rows[self.forms.ids], self.places, asked], axis=1)


def traits(text: str, units: Sequence[Word], question: str = "") -> Traits:
    """What is known of each unit; those of the question where there is one."""
    whole = [start for start, _ in sentences(text)]
    found = layout(text, units, whole, clauses(text, whole))
    known = forms(text, units)
    rows = known.rows()
    places = place_rows(text, units, known, found, rows)
    asked = asked_rows(known, found, rows, question) if question.strip() else None
    return Traits(known, found, _uncut(known, found, units), rows, places, asked)


def _uncut(known: Forms, found: Layout, units: Sequence[Word]) -> Numbers:
    """Clauses that leave whole; one begins at a conjunction too, but for `and 10` behind a `between 5`."""
    turned = np.array([form.turns for form in known.forms], dtype=bool)[known.ids]
    whole = (np.bincount(found.sentence, weights=turned) > 0)[found.sentence]
    joins = np.array([form.joins for form in known.forms])[known.ids]
    protected = np.append(Units.of(units).protected[1:], False)
    links = (joins == SUBORDINATES) | ((joins == COORDINATES) & ~protected)
    links[1:] &= ~links[:-1]
    fresh = links | (np.diff(found.clause, prepend=-1) > 0)
    fresh &= ~whole | (np.diff(found.sentence, prepend=-1) > 0)
    return np.asarray(np.cumsum(fresh) - 1, dtype=np.intp)
