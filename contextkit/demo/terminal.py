"""The demonstration in a terminal: rich renderables of its two parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from contextkit.demo.questions import Question, Questions, Side
from contextkit.demo.recorded import Recorded
from contextkit.demo.ways import Way
from contextkit.inspector.overview import WIDE, Legend, totals_sentence
from contextkit.inspector.unfolded import Unfolded
from contextkit.inspector.words import clean, money, one_line

SIMULATED = (
    "Simulated: input prices by the dated rules file shipped with contextkit, token counts by its "
    "counter; no provider was asked and this is no bill."
)
NOT_FOUND = "not in context"
"""What the pocket model was trained to say where it finds nothing."""
WAY_HEADS = ("the same run", "cost", "tokens", "largest", "over window", "invalid")
QUESTION_HEADS = ("question", "true", "truncation", "contextkit")
CLAIM = (
    "The dialogue is made up. contextkit keeps what the user marked with Remember: or Update: "
    "(policy pin); truncation sends the newest messages that fit. What is claimed is whether the "
    "evidence was in the call. The answers illustrate it: the model has 22 million parameters and "
    "gets some wrong with the evidence before it."
)


def replay_summary(recorded: Recorded) -> Iterator[RenderableType]:
    """What stands below the turns: legend, totals, the other ways."""
    ledgers = recorded.ledgers
    yield Legend(ledgers)
    yield Text(totals_sentence(ledgers))
    yield Text()
    yield ways_grid(recorded)
    yield Text(way_notes(recorded), style="dim")


@dataclass(frozen=True)
class Grid:
    """A table: folded to a terminal, on a narrow one a line for each cell, in a pipe a line a row."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    ratios: tuple[int, ...] = ()
    """Shares of the width; without them cells beside the first are figures and stand right."""
    marked: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < WIDE and not options.no_wrap:
            yield from self._stacked()
        else:
            yield Unfolded(self._table())

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        for index, head in enumerate(self.heads):
            ratio = self.ratios[index] if self.ratios else None
            justify: Literal["left", "right"] = "left" if ratio or not index else "right"
            table.add_column(head, overflow="fold", ratio=ratio, justify=justify)
        for index, row in enumerate(self.rows):
            style = "bold" if index == self.marked else ""
            table.add_row(*(Text(clean(cell), style=style) for cell in row))
        return table

    def _stacked(self) -> Iterator[Text]:
        for row in self.rows:
            yield Text(clean(row[0]), style="bold")
            for head, cell in zip(self.heads[1:], row[1:], strict=True):
                yield Text.assemble(f"  {head}: ", clean(cell))


def ways_grid(recorded: Recorded) -> Grid:
    """contextkit and the other ways, one a line."""
    return Grid(WAY_HEADS, [way_cells(way) for way in recorded.ways], marked=0)


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


def questions_grid(found: Questions) -> Grid:
    """Every question with both ways."""
    return Grid(QUESTION_HEADS, [question_cells(row) for row in found.rows], ratios=(3, 2, 3, 3))


def question_cells(row: Question) -> tuple[str, ...]:
    """Question, what is true, what became of it in both ways."""
    changed = " (changed later)" if row.was_changed else ""
    return row.text + changed, row.expected, side_text(row.truncated), side_text(row.contextkit)


def side_text(side: Side) -> str:
    """`in call: "B42" right`."""
    text = "in call" if side.has_evidence else "not in call"
    if side.answer is None:
        return text
    if side.answer.lower().startswith(NOT_FOUND):
        return f"{text}: says it is not there"
    verdict = "right" if side.is_right else "wrong"
    return f'{text}: "{one_line(side.answer, 40)}" {verdict}'


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
