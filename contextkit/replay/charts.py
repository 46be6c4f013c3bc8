"""Charts of a replay as inline SVG: labelled, scalable, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from contextkit.inspector import account
from contextkit.inspector.svg import slice_class
from contextkit.inspector.words import clean
from contextkit.replay.outcome import ReplayedCall

WIDTH, HEIGHT = 1000, 200
"""Units of a view box; the page scales it to whatever room there is."""
MAX_COLUMNS = 400
"""Calls that one chart shows; of a longer run every n-th."""
_NOT_SENT = (account.FREE, account.RESERVE)
N_LINES = 6


def columns(calls: Sequence[ReplayedCall], top_tokens: int, label: str) -> str:
    """One column a call, its sections stacked; a mark over each call that moved the prefix."""
    shown = thinned(calls)
    step = WIDTH / max(1, len(shown))
    top = max(1, top_tokens)
    drawn: list[str] = []
    for index, call in enumerate(shown):
        x, y = index * step, float(HEIGHT)
        for part in account.slices(call.ledger) if call.ledger else ():
            if part.name in _NOT_SENT:
                continue
            height = part.tokens * (HEIGHT - 12) / top
            y -= height
            drawn.append(
                f'<rect class="{slice_class(part.name)}" x="{x:.2f}" y="{y:.2f}" '
                f'width="{step * 0.9:.2f}" height="{height:.2f}"/>'
            )
        if call.moved:
            drawn.append(
                f'<rect class="mark" x="{x:.2f}" y="0" width="{step * 0.9:.2f}" height="8">'
                f"<title>{escape(clean(describe(call)))}</title></rect>"
            )
    return _svg("columns", label, drawn)


def lines(series: Sequence[Sequence[float]], label: str) -> str:
    """One line a configuration over the calls of a run, all on one scale."""
    top = max((max(values) for values in series if values), default=0) or 1
    longest = max((len(values) for values in series), default=1)
    drawn: list[str] = []
    for index, values in enumerate(series):
        every = list(enumerate(values))
        step = max(1, -(-len(every) // MAX_COLUMNS))
        shown = [*every[:-1:step], *every[-1:]]
        points = " ".join(
            f"{at * WIDTH / max(1, longest - 1):.1f},{HEIGHT - value * (HEIGHT - 4) / top:.1f}"
            for at, value in shown
        )
        drawn.append(f'<polyline class="line-{index % N_LINES}" points="{points}"/>')
    return _svg("chart", label, drawn)


def thinned(calls: Sequence[ReplayedCall]) -> Sequence[ReplayedCall]:
    """At most `MAX_COLUMNS` of the calls, evenly spread."""
    return calls[:: -(-len(calls) // MAX_COLUMNS)] if calls else calls


def describe(call: ReplayedCall) -> str:
    """A call that moved the prefix, in words."""
    return f"moved by {call.moved_by or 'assembly'}, {call.rewritten_tokens:,} tokens are read in again"


def _svg(kind: str, label: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg class="{kind}" role="img" aria-label="{escape(clean(label))}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">{"".join(drawn)}</svg>'
    )
