"""What a unit is taken to cost: its pieces, and the blank before a number with the unit before it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.compression.costs import LEAST, piece_costs
from contextkit.compression.forms import forms
from contextkit.compression.units import units_of

PIECES = st.sampled_from(
    [
        "antidisestablishment",
        "No",
        "12",
        "3.5",
        "(1999)",
        "a_b",
        "٣",
        "é",
        "\ud800",
        " ",
        "\n",
        "\x1c",
        "-",
    ]
)


@given(st.lists(PIECES, min_size=1, max_size=40).map("".join))
def test_costs_are_the_pieces_that_begin_in_a_unit(text: str) -> None:
    units = units_of(text)
    pieces = re.finditer(r"[^\W\d_]{1,8}|\d{1,3}|\s(?=\d)|[^\w\s]|_", text)
    counted = np.zeros(len(units))
    for piece in pieces:
        counted[np.searchsorted(units.starts, piece.start(), side="right") - 1] += 1
    costs = piece_costs(forms(text, units), 700)
    assert costs.sum() == pytest.approx(700)
    wanted = np.maximum(counted, LEAST)
    assert costs == pytest.approx(wanted * 700 / wanted.sum())
