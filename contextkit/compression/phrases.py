"""Names stay whole: runs of capitals and numbers as one unit that is kept or dropped together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contextkit.compression.spans import Word

_FIRST = re.compile(r"[^\W_]")
_INSIDE = frozenset(("of", "de", "van", "von", "&"))
_ENDS = frozenset(',;:)"”.!?]')
MOST_WORDS = 8
"""Longer runs are headings or shouting, and are told word by word."""


def phrases(text: str, units: Sequence[Word]) -> list[Word]:
    """The units with each name in one; together they still tile the text."""
    pieces = [text[start:stop].strip() for start, stop, _ in units]
    naming = {piece: _names(piece) for piece in {*pieces}}
    named = [naming[piece] for piece in pieces]
    found: list[Word] = []
    done = 0
    for at in [index for index, is_name in enumerate(named) if is_name]:
        if at < done:
            continue
        end = _end(pieces, named, at)
        if 1 < end - at <= MOST_WORDS:
            kept = any(unit.protected for unit in units[at:end])
            found += units[done:at]
            found.append(Word(units[at].start, units[end - 1].stop, kept))
            done = end
    return [*found, *units[done:]]


def _end(pieces: Sequence[str], named: Sequence[bool], at: int) -> int:
    """Behind the last word of the name that begins at `at`."""
    end = at + 1
    while end < len(pieces) and pieces[end - 1][-1:] not in _ENDS:
        if named[end]:
            end += 1
        elif pieces[end] in _INSIDE and end + 1 < len(pieces) and named[end + 1]:
            end += 2
        else:
            break
    return end


def _names(piece: str) -> bool:
    """Whether the first letter or digit is a capital or a digit."""
    if piece[:1].isalnum():
        return piece[0].isupper() or piece[0].isdigit()
    first = _FIRST.search(piece)
    return first is not None and (first.group().isupper() or first.group().isdigit())
