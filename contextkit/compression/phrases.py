"""Names stay whole: runs of capitals and numbers as one unit that is kept or dropped together."""

from __future__ import annotations

from collections.abc import Sequence

from contextkit.compression.spans import Word

_INSIDE = frozenset(("of", "de", "van", "von", "&"))
_ENDS = frozenset(',;:)"”.!?]')
MOST_WORDS = 8
"""Longer runs are headings or shouting, and are told word by word."""


def phrases(text: str, units: Sequence[Word]) -> list[Word]:
    """The units with each name in one; together they still tile the text."""
    pieces = [text[unit.start : unit.stop].strip() for unit in units]
    named = [any(c.isupper() or c.isdigit() for c in _first(piece)) for piece in pieces]
    found: list[Word] = []
    at = 0
    while at < len(units):
        end = _end(pieces, named, at) if named[at] else at + 1
        if end - at > MOST_WORDS:
            end = at + 1
        kept = any(unit.protected for unit in units[at:end])
        found.append(Word(units[at].start, units[end - 1].stop, kept))
        at = end
    return found


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


def _first(piece: str) -> str:
    """The first letter or digit."""
    return next((c for c in piece if c.isalnum()), "")
