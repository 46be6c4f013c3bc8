"""Tables whose rows stay whole where lines are not wrapped: what goes into a pipe is read line by line."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

WIDEST = 100_000
"""Columns of a line that nobody wraps."""


@dataclass(frozen=True)
class Unfolded:
    """A table as it is; on a console that wraps nothing, with every row on one line."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not options.no_wrap:
            yield self.table
            return
        for column in self.table.columns:
            column.no_wrap, column.ratio = True, None
        yield from console.render(self.table, options.update(max_width=WIDEST))
