"""The demonstration in a terminal: rich renderables of its two parts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from contextkit.demo.questions import Questions, Side
from contextkit.demo.recorded import Recorded
from contextkit.demo.ways import Way
from contextkit.inspector.overview import Legend, totals_sentence
from contextkit.inspector.words import clean, money, one_line

SIMULATED = (
    "Simulated: input prices by the dated rules file shipped with contextkit, token counts by its "
    "counter; no provider was asked and this is no bill."
)
NOT_FOUND = "not in context"
"""What the pocket model was trained to say where it finds nothing."""
CLAIM = (
    "What is claimed is whether the evidence was in the call. The answers illustrate it: the model "
    "has 22 million parameters and gets some wrong with the evidence before it."
)


def replay_summary(recorded: Recorded) -> Iterator[RenderableType]:
    """What stands below the turns: legend, totals, the other ways."""
    ledgers = [turn.ledger for turn in recorded.turns]
    yield Legend(ledgers)
    yield Text(totals_sentence(ledgers))
    yield Text()
    yield ways_table(recorded)
    yield Text(way_notes(recorded), style="dim")


def ways_table(recorded: Recorded) -> Table:
    """contextkit and the other ways, one a line."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("the same run", overflow="fold")
    for name in ("cost", "tokens", "largest", "over window", "invalid"):
        table.add_column(name, justify="right")
    for way in recorded.ways:
        cells = way_cells(way)
        style = "bold" if way is recorded.ways[0] else ""
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def way_cells(way: Way) -> tuple[str, ...]:
    """Name, cost, tokens, largest call, calls over the window, invalid calls."""
    return (
        way.name,
        money(way.cost_usd),
        f"{way.input_tokens:,}",
        f"{way.largest_tokens:,}",
        f"{way.over_window}",
        f"{way.invalid}",
    )


def way_notes(recorded: Recorded) -> str:
    """How the figures came about."""
    as_of = f" as of {recorded.prices_as_of}" if recorded.prices_as_of else ""
    return (
        f"{SIMULATED} Prices of {recorded.provider} {recorded.model}{as_of}. "
        "A cached way gets the cheaper of a cache point at the end of each call and one behind the "
        "system. Invalid: a provider would refuse the call (a tool result without its call)."
    )


def questions_table(found: Questions) -> Table:
    """Every question with both ways."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("question", overflow="fold", ratio=3)
    table.add_column("true", overflow="fold", ratio=2)
    table.add_column("truncation", overflow="fold", ratio=3)
    table.add_column("contextkit", overflow="fold", ratio=3)
    for row in found.rows:
        mark = " (changed)" if row.was_changed else ""
        table.add_row(
            Text(clean(row.text) + mark),
            Text(clean(row.expected)),
            Text(side_text(row.truncated), style=_style(row.truncated)),
            Text(side_text(row.contextkit), style=_style(row.contextkit)),
        )
    return table


def side_text(side: Side) -> str:
    """`in call: "B42" right`."""
    text = "in call" if side.has_evidence else "not in call"
    if side.answer is None:
        return text
    if side.answer.lower().startswith(NOT_FOUND):
        return f"{text}: says it is not there"
    verdict = "right" if side.is_right else "wrong"
    return f'{text}: "{one_line(side.answer, 40)}" {verdict}'


def _style(side: Side) -> str:
    return "" if side.has_evidence else "dim"


def questions_summary(found: Questions) -> str:
    """The counts of part two on a few lines."""
    n_rows = len(found.rows)
    text = (
        f"Evidence in the call: truncation {found.count('truncated', 'has_evidence')} of {n_rows}, "
        f"contextkit {found.count('contextkit', 'has_evidence')} of {n_rows}."
    )
    if found.model:
        text += (
            f" Answered right: truncation {found.count('truncated', 'is_right')}, "
            f"contextkit {found.count('contextkit', 'is_right')}."
        )
    return text


def questions_title(found: Questions) -> str:
    """What is asked of whom under which window."""
    who = f"the local {found.model!r} model" if found.model else "no model"
    return (
        f"A dialogue of {found.n_messages} messages ({found.dialogue_tokens:,} tokens), a window of "
        f"{found.window:,}, {len(found.rows)} questions to {who}"
    )
