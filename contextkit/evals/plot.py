"""Recall over budget as one SVG: a line a method, with its interval; readable in light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from contextkit.evals.recall import Figure

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 48, 150, 40, 40
COLOURS = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#868e96", "#c2255c")


def plot(
    title: str,
    budgets: Sequence[int],
    rows: Mapping[str, Sequence[Figure]],
    axis: str = "tokens",
) -> str:
    """The figure; `rows` are methods with one figure for each budget, in percent."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        "<style>text{fill:#333}.grid{stroke:#ccc}@media(prefers-color-scheme:dark)"
        "{text{fill:#ddd}.grid{stroke:#555}}</style>",
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
        *_grid(budgets, axis),
    ]
    ends: list[float] = []
    for number, (name, figures) in enumerate(rows.items()):
        parts += _line(name, budgets, figures, COLOURS[number % len(COLOURS)], ends)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(budgets: Sequence[int], axis: str) -> list[str]:
    parts: list[str] = []
    for percent in range(0, 101, 20):
        y = _y(percent)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
        )
    for budget in budgets:
        parts.append(
            f'<text x="{_x(budget, budgets):.1f}" y="{HEIGHT - BOTTOM + 18}" '
            f'text-anchor="middle">{budget:,}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(axis)}</text>')
    return parts


def _line(
    name: str, budgets: Sequence[int], figures: Sequence[Figure], colour: str, ends: list[float]
) -> list[str]:
    at = [_x(budget, budgets) for budget in budgets]
    points = " ".join(f"{x:.1f},{_y(f.value):.1f}" for x, f in zip(at, figures, strict=True))
    up = [f"{x:.1f},{_y(f.high):.1f}" for x, f in zip(at, figures, strict=True)]
    down = [f"{x:.1f},{_y(f.low):.1f}" for x, f in zip(at, figures, strict=True)]
    label = _free(_y(figures[-1].value), ends)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{_y(f.value):.1f}" r="3" fill="{colour}">'
        f"<title>{escape(name)}: {f.value:.1f} % [{f.low:.1f}, {f.high:.1f}]</title></circle>"
        for x, f in zip(at, figures, strict=True)
    )
    return [
        f'<polygon points="{" ".join([*up, *reversed(down)])}" fill="{colour}" opacity="0.15"/>',
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}',
        f'<text x="{WIDTH - RIGHT + 10}" y="{label + 4:.1f}" style="fill:{colour}">'
        f"{escape(name)} {figures[-1].value:.1f} %</text>",
    ]


def _free(y: float, ends: list[float]) -> float:
    """The nearest height at or below `y` where no other label stands."""
    while any(abs(y - other) < 14 for other in ends):
        y += 3
    ends.append(y)
    return y


def _x(budget: int, budgets: Sequence[int]) -> float:
    low, high = math.log(min(budgets)), math.log(max(budgets))
    share = 0.5 if high == low else (math.log(budget) - low) / (high - low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(percent: float) -> float:
    return HEIGHT - BOTTOM - percent / 100 * (HEIGHT - TOP - BOTTOM)
