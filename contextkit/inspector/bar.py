"""The stacked bar of a call against its window, in characters that a terminal can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from contextkit.inspector.account import FREE, RESERVE, SHORTENED, UNCERTAIN, Slice


@dataclass(frozen=True, slots=True)
class Look:
    """How a slice is drawn: a block, a letter where blocks cannot be shown, a colour for both."""

    block: str
    letter: str
    style: str


_LOOKS = {
    "frame": Look("▚", "F", "magenta"),
    "system": Look("█", "S", "blue"),
    "pinned": Look("▉", "P", "yellow"),
    "history": Look("▓", "H", "cyan"),
    SHORTENED: Look("▒", "c", "green"),
    "summaries": Look("▞", "m", "green"),
    "retrieved": Look("▜", "v", "bright_magenta"),
    "request": Look("▆", "R", "bright_white"),
    UNCERTAIN: Look("░", "~", "dim"),
    FREE: Look("·", ".", "dim"),
    RESERVE: Look("╌", "-", "dim"),
}
_OTHER = Look("▞", "o", "red")


def look(name: str) -> Look:
    """How a slice of that name is drawn; sections that policies made up share one look."""
    return _LOOKS.get(name, _OTHER)


def glyph(name: str, *, ascii_only: bool) -> str:
    """The character that stands for a slice in a bar."""
    return look(name).letter if ascii_only else look(name).block


def bar(parts: Sequence[Slice], width: int, *, ascii_only: bool = False) -> Text:
    """`width` cells that stand for all tokens of the slices; no slice with tokens vanishes."""
    out = Text(no_wrap=True)
    for part, n_cells in zip(parts, cells([p.tokens for p in parts], width), strict=True):
        out.append(glyph(part.name, ascii_only=ascii_only) * n_cells, style=look(part.name).style)
    return out


def cells(tokens: Sequence[int], width: int) -> list[int]:
    """Whole cells that add up to `width`: at least one each while there is room, then in proportion."""
    total = sum(tokens)
    if not total or width <= 0:
        return [0] * len(tokens)
    least = [1 if n and len(tokens) <= width else 0 for n in tokens]
    rest = width - sum(least)
    exact = [n * rest / total for n in tokens]
    given = [low + int(part) for low, part in zip(least, exact, strict=True)]
    by_remainder = sorted(range(len(tokens)), key=lambda i: int(exact[i]) - exact[i])
    for index in by_remainder[: width - sum(given)]:
        given[index] += 1
    return given
