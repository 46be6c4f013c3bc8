"""One call's ledger in a terminal: the bar, the sections, what left and why, prefix, cache, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from contextkit.inspector import account
from contextkit.inspector.bar import bar, glyph, look
from contextkit.inspector.unfolded import Unfolded
from contextkit.inspector.words import clean, count, money, percent, share
from contextkit.ledger import Ledger

NARROW = 60
"""Columns below which tables drop what can be spared."""


@dataclass(frozen=True)
class CallReport:
    """A rich renderable of one ledger; fits any width from about 40 columns, with or without colour."""

    ledger: Ledger
    most_rows: int = 12
    """Lines of what left that are shown; the rest is counted."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = options.max_width, options.ascii_only
        yield self._title()
        yield bar(account.slices(self.ledger), width, ascii_only=plain)
        yield self._sections(width, plain)
        yield from self._left_out(width)
        yield from self._rewritten()
        yield from self._sentences()

    def _title(self) -> Text:
        ledger = self.ledger
        turn = f"turn {ledger.turn}" if ledger.turn else "not sent yet"
        upper = "" if ledger.exact else f" (at most {ledger.upper_tokens:,})"
        return Text.assemble(
            (clean(ledger.thread), "bold"),
            f" - {turn}: {ledger.input_tokens:,} tokens{upper} of {ledger.limit_tokens:,}; "
            f"window {ledger.window:,}",
        )

    def _sections(self, width: int, plain: bool) -> Table:
        table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
        table.add_column(overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for part in account.slices(self.ledger):
            name = Text(glyph(part.name, ascii_only=plain) + " ", style=look(part.name).style)
            name.append(clean(part.name), style="")
            of_window = percent(share(part.tokens, self.ledger.window))
            table.add_row(name, Text(f"{part.tokens:,}"), Text(of_window, style="dim"))
        return table

    def _left_out(self, width: int) -> Iterator[RenderableType]:
        rows = account.left_out(self.ledger)
        if not rows:
            yield Text("Nothing was left out.", style="dim")
            return
        freed = sum(row.freed_tokens for row in rows)
        yield Text(f"Left out or shortened: {freed:,} tokens", style="bold")
        yield self._left_out_table(rows[: self.most_rows], width)
        if len(rows) > self.most_rows:
            rest = rows[self.most_rows :]
            tokens = sum(row.freed_tokens for row in rest)
            yield Text(
                f"... and {count(len(rest), 'smaller piece')}, {tokens:,} tokens", style="dim"
            )

    def _rewritten(self) -> Iterator[RenderableType]:
        """What changed its form and freed nothing: a line for each reason."""
        by_reason: dict[str, list[str]] = {}
        for row in account.rewritten(self.ledger):
            by_reason.setdefault(f"{row.policy}: {row.why}", []).append(row.handle)
        for reason, handles in by_reason.items():
            more = ", ..." if len(handles) > self.most_rows else ""
            yield _item("changed", f"{', '.join(handles[: self.most_rows])}{more} ({reason})")

    def _left_out_table(self, rows: list[account.LeftOut], width: int) -> RenderableType:
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        table.add_column("handle", no_wrap=True)
        table.add_column("freed", justify="right", no_wrap=True)
        wide = width >= NARROW
        if wide:
            table.add_column("became", justify="right", no_wrap=True)
            table.add_column("policy", no_wrap=True)
        table.add_column("why", overflow="fold", ratio=1)
        for row in rows:
            became = f"{row.tokens_after:,}" if row.tokens_after else "-"
            cells = [clean(row.handle), f"{row.freed_tokens:,}"]
            cells += [became, clean(row.policy)] if wide else []
            why = clean(row.why if wide else f"{row.policy}: {row.why}")
            table.add_row(*(Text(cell) for cell in cells), Text(why))
        return Unfolded(table)

    def _sentences(self) -> Iterator[RenderableType]:
        ledger = self.ledger
        yield _item(
            "prefix", account.prefix_sentence(ledger), "yellow" if ledger.prefix.moved else ""
        )
        yield _item("cache", _cache_sentence(ledger))
        yield _item("cost", _cost_sentence(ledger))
        if ledger.usage:
            yield _item("usage", _usage_sentence(ledger))
        for note in ledger.notes:
            yield _item("note", note)


def _item(name: str, text: str, style: str = "") -> RenderableType:
    return Text.assemble((f"{name}: ", "bold"), (clean(text), style))


def _cache_sentence(ledger: Ledger) -> str:
    forecast = ledger.forecast
    expected = (
        f"expected to read {percent(account.expected_read_share(ledger))} of the input "
        f"({forecast.read_tokens:,} read, {forecast.write_tokens:,} written, "
        f"{forecast.fresh_tokens:,} fresh)"
    )
    real = account.real_read_share(ledger)
    return expected if real is None else f"{expected}; the provider read {percent(real)}"


def _cost_sentence(ledger: Ledger) -> str:
    forecast = ledger.forecast
    if forecast.cost_usd is None:
        text = money(None)
        if forecast.relative_cost != 1:
            text += f"; {percent(forecast.relative_cost)} of the same input without a cache"
    else:
        text = (
            f"{money(forecast.cost_usd)} expected for the input, "
            f"{money(forecast.uncached_usd)} without a cache"
        )
    return text if ledger.cost_usd is None else f"{money(ledger.cost_usd)} by usage; {text}"


def _usage_sentence(ledger: Ledger) -> str:
    usage = ledger.usage
    if usage is None:
        return "not known"
    text = (
        f"{usage.input_tokens:,} in ({usage.cache_read_tokens:,} read, "
        f"{usage.cache_write_tokens:,} written), {usage.output_tokens:,} out"
    )
    if usage.reasoning_tokens:
        text += f" ({usage.reasoning_tokens:,} of them reasoning)"
    return text
