"""How much a word says by itself: bits from the frequencies of a shipped table, and its stem.

The table holds the words of public passages and meetings (made by `docs/bench/word_table.py`), so a
word's bits do not depend on what else stands in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FUNCTION = frozenset(
    "a an the of to in on at by for with from as and or but if so that this these those it its is are was "
    "were be been being am do does did has have had he she they we you i his her their our your my me him "
    "them us there here which who whom what when where how then also just very really quite".split()
)
FUNCTION_BITS = 0.5
SPOKEN = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_ENDINGS = ("ations", "ation", "ingly", "ments", "ment", "ings", "ies", "ing", "ers", "est", "ed", "es",
            "er", "ly", "or", "s", "e", "y")  # fmt: skip
_BY_LAST = {end[-1]: [each for each in _ENDINGS if each[-1] == end[-1]] for end in _ENDINGS}


def spoken(word: str) -> str:
    """The word without the punctuation around it, in lower case; empty where it has no letter or digit."""
    found = SPOKEN.search(word)
    return found.group().lower() if found else ""


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The word without its ending, so that `released`, `release` and `releases` are one."""
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    for ending in _BY_LAST.get(word[-1:], ()):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def bits(word: str) -> float:
    """Self-information of a word in lower case; a word that is not in the table says the most."""
    return _table().get(word, _rarest())


def table_words() -> tuple[str, ...]:
    """The words of the table, as their rows stand."""
    return tuple(_table())


def row(word: str) -> int:
    """The place of a word in lower case in the table, -1 where it is not in it."""
    return _places().get(word, -1)


@cache
def vectors() -> npt.NDArray[np.float32]:
    """What each word of the table is about `[n_words + 1, 16]`; the last row, zeros, is for all others.

    Principal components of the word embeddings of all-MiniLM-L6-v2 (Apache 2.0).
    """
    import numpy as np

    with files("contextkit.data").joinpath("word_vectors.npz").open("rb") as file:
        stored = np.load(file)["vectors"].astype(np.float32) / 32
    return np.concatenate([stored, np.zeros((1, stored.shape[1]), dtype=np.float32)])


@lru_cache(maxsize=65_536)
def entry(word: str) -> tuple[str, float, float]:
    """Of a word as it is written: its stem, its likelihood and its bits, all by the table.

    The stem is empty for a function word, and what has neither letter nor digit says nothing.
    """
    low = spoken(word)
    if not low:
        return "", 1.0, 0.0
    said = bits(low)
    return "" if low in FUNCTION else stem(low), 2.0**-said, said


@lru_cache(maxsize=65_536)
def stem_of(word: str) -> str:
    """The stem of a word as it is written."""
    return stem(spoken(word))


@cache
def _rarest() -> float:
    return max(_table().values())


@cache
def _places() -> Mapping[str, int]:
    return {word: place for place, word in enumerate(_table())}


@cache
def _table() -> Mapping[str, float]:
    lines = files("contextkit.data").joinpath("word_bits.tsv").read_text(encoding="utf-8")
    return {
        word: int(tenths) / 10 for word, tenths in (line.split("\t") for line in lines.splitlines())
    }
