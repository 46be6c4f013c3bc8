"""What is known of each word of a text before a model is asked: its form, its place, the question.

The columns are those that the shipped classifier was trained on, so they change together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contextkit.compression.asked import COLUMNS as ASKED
from contextkit.compression.asked import asked_rows
from contextkit.compression.forms import Forms, Numbers, Rows, forms
from contextkit.compression.places import Layout, layout, place_rows
from contextkit.compression.spans import Word, clauses, sentences


@dataclass(frozen=True, slots=True)
class Traits:
    """`rows` has a row for each written word, `places` and `asked` one for each unit; None: no question."""

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
    return Traits(known, found, _uncut(known, found), rows, places, asked)


def _uncut(known: Forms, found: Layout) -> Numbers:
    turned = np.array([form.turns for form in known.forms], dtype=bool)[known.ids]
    whole = (np.bincount(found.sentence, weights=turned) > 0)[found.sentence]
    fresh = np.diff(found.clause, prepend=-1) > 0
    fresh &= ~whole | (np.diff(found.sentence, prepend=-1) > 0)
    return np.asarray(np.cumsum(fresh) - 1, dtype=np.intp)
