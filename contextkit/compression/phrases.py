"""Names stay whole: runs of capitals and numbers as one unit that is kept or dropped together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from contextkit.compression.spans import Word
from contextkit.compression.units import Units

_FIRST = re.compile(r"[^\W_]")
_INSIDE = frozenset(("of", "de", "van", "von", "&"))
_ENDS = frozenset(',;:)"”.!?]')
MOST_WORDS = 8
"""Longer runs are headings or shouting, and are told word by word."""
NAMES, CLOSES, LINKS = 1, 2, 4
"""What a word may be: part of a name, the last of one, or a link between two parts."""


def phrases(text: str, words: Sequence[Word]) -> Units:
    """The units with each name in one; together they still tile the text."""
    units = Units.of(words)
    told = bytes(map(_told, units.written(text)))
    flags = np.frombuffer(told + bytes(2), dtype=np.uint8)
    named, linked = flags & NAMES > 0, flags & LINKS > 0
    joins = named[1:-1] | (linked[1:-1] & named[2:])
    begins = named[:-2] & (flags[:-2] & CLOSES == 0) & joins
    runs: list[tuple[int, int]] = []
    done = 0
    for at in np.flatnonzero(begins).tolist():
        if at < done:
            continue
        end = _end(told, at)
        if end - at <= MOST_WORDS:
            runs.append((at, end - 1))
            done = end
    return units.merged(runs)


def _end(told: bytes, at: int) -> int:
    """Behind the last word of the name that begins at `at`."""
    end = at + 1
    while end < len(told) and not told[end - 1] & CLOSES:
        if told[end] & NAMES:
            end += 1
        elif told[end] & LINKS and end + 1 < len(told) and told[end + 1] & NAMES:
            end += 2
        else:
            break
    return end


@lru_cache(maxsize=65_536)
def _told(written: str) -> int:
    """What a word may be, as flags."""
    word = written.strip()
    closes, links = word[-1:] in _ENDS, word in _INSIDE
    return NAMES * _names(word) + CLOSES * closes + LINKS * links


def _names(word: str) -> bool:
    """Whether the first letter or digit is a capital or a digit."""
    if word[:1].isalnum():
        return word[0].isupper() or word[0].isdigit()
    first = _FIRST.search(word)
    return first is not None and (first.group().isupper() or first.group().isdigit())
