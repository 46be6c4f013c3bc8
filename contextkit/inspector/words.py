"""Figures as words, and text from strangers made safe for a terminal."""

from __future__ import annotations

import re
from math import floor, log10

UNKNOWN_PRICE = "price unknown"
LEAST_USD = 0.000001
"""A smaller sum is shown as less than this."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without control characters: nothing in it can move the cursor or recolour a line."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, width: int) -> str:
    """The text on one line of at most `width` characters, control characters taken out."""
    flat = clean(" ".join(text.split()))
    return flat if len(flat) <= width else flat[: max(1, width - 3)] + "..."


def money(usd: float | None) -> str:
    """US dollars with as many places as tell small sums apart: four, or two significant digits."""
    if usd is None:
        return UNKNOWN_PRICE
    if usd >= 100 or usd == 0:
        return f"${usd:,.2f}"
    if 0 < usd < LEAST_USD:
        return f"<${LEAST_USD:f}"
    places = 1 - floor(log10(abs(usd)))
    return f"${usd:,.{min(max(places, 4), 6)}f}"


def percent(part: float | None) -> str:
    """A share in whole per cent; a dash where it is not known."""
    return "-" if part is None else f"{part:.0%}"


def share(part: float, whole: float) -> float | None:
    """`part` of `whole`, or None of nothing."""
    return part / whole if whole else None


def count(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
