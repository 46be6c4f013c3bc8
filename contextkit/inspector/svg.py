"""The stacked bar of a call as inline SVG for a page: labelled, scalable, no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from contextkit.inspector.account import Slice

WIDTH, HEIGHT = 1000, 24
"""Units of the view box; the page scales it to whatever room there is."""


def slice_class(name: str) -> str:
    """The CSS class of a slice; sections that policies made up are reduced to letters and dashes."""
    return "slice-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "other")


def bar_svg(parts: Sequence[Slice], label: str) -> str:
    """One bar over the whole width; `label` is read out, each slice has its own tooltip."""
    total = sum(part.tokens for part in parts) or 1
    drawn: list[str] = []
    start = 0.0
    for part in parts:
        width = part.tokens * WIDTH / total
        drawn.append(
            f'<rect class="{slice_class(part.name)}" x="{start:.2f}" y="0" width="{width:.2f}" '
            f'height="{HEIGHT}"><title>{escape(part.name)}: {part.tokens:,} tokens</title></rect>'
        )
        start += width
    return (
        f'<svg class="bar" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none">{"".join(drawn)}</svg>'
    )


def describe(parts: Sequence[Slice]) -> str:
    """The bar in words, for those who do not see it."""
    return ", ".join(f"{part.name} {part.tokens:,}" for part in parts) + " tokens"
