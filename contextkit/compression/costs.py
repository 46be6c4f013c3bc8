"""About how many tokens each unit of a text costs, without counting them one by one."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from contextkit.compression.forms import Forms

_PIECE = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|\s(?=\d)|[^\w\s]|_")
"""What mostly is one token: a short word, three digits, the blank before digits."""
LEAST = 0.5


def piece_costs(known: Forms, tokens: int) -> npt.NDArray[np.float64]:
    """Costs of the units of a text `[n]`, which sum to its `tokens`; a blank stands between any two.

    A random quarter of a passage comes out within 7 % of its true count (one deviation), by shares of
    characters within 13 %, too low where there are many numbers.
    """
    own = np.array([*map(_pieces, known.written)], dtype=np.intp)
    digit = np.array([word[:1].isdecimal() for word in known.written], dtype=np.intp)
    pieces = own[known.ids]
    pieces[:-1] += digit[known.ids[1:]]
    costs = np.maximum(pieces, LEAST)
    return np.asarray(costs * (tokens / costs.sum()), dtype=np.float64)


@lru_cache(maxsize=65_536)
def _pieces(word: str) -> int:
    """About how many tokens a word has that no blank stands around."""
    return len(_PIECE.findall(word))
