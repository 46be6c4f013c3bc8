"""A thread's turns in a terminal: one line a turn with bar, tokens, read share, cost, moved mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from contextkit.inspector import account
from contextkit.inspector.bar import bar, glyph, look
from contextkit.inspector.words import clean, count, money, percent
from contextkit.ledger import Ledger

_FIXED = 4 + 1 + 8 + 1 + 5 + 1 + 9
"""Columns of turn, tokens, read share and cost."""
_MARK = 18
MOST_NOTES = 4
WIDE = 64
"""Columns from which bar and figures share a line; below, the bar has a line of its own."""


@dataclass(frozen=True)
class TurnLine:
    """One turn of a thread; `cost_so_far` is None where a price is unknown."""

    ledger: Ledger
    cost_so_far: float | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, plain = options.max_width, options.ascii_only
        parts = account.slices(self.ledger)
        if width < WIDE:
            yield bar(parts, width, ascii_only=plain)
            yield self._figures(Text(), width - _FIXED)
        else:
            drawn = bar(parts, width - _FIXED - _MARK - 2, ascii_only=plain)
            yield self._figures(Text.assemble(" ", drawn), _MARK)

    def _figures(self, drawn: Text, room: int) -> Text:
        ledger = self.ledger
        cost = "-" if self.cost_so_far is None else money(self.cost_so_far)
        line = Text.assemble(
            f"{ledger.turn:>4}", drawn, f" {ledger.input_tokens:>8,}"
            f" {percent(account.read_share(ledger)):>5} {cost:>9}",
        )  # fmt: skip
        if ledger.prefix.moved:
            mark = f" ! {clean(ledger.prefix.policy)}"
            line.append(mark[: max(2, room)], style="yellow")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


@dataclass(frozen=True)
class Header:
    """The names of the columns of `TurnLine`."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = 0 if options.max_width < WIDE else options.max_width - _FIXED - _MARK - 1
        names = f"turn{' ' * room} {'tokens':>8} {'read':>5} {'so far':>9}"
        yield Text(names + " ! moved by", style="dim", no_wrap=True, overflow="ellipsis")


@dataclass(frozen=True)
class Legend:
    """What the characters of the bars stand for."""

    ledgers: Sequence[Ledger]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        out = Text()
        for name in account.slice_names(self.ledgers):
            out.append(glyph(name, ascii_only=options.ascii_only), style=look(name).style)
            out.append(f" {clean(name)}  ")
        yield out


@dataclass(frozen=True)
class Overview:
    """All turns of a thread with their totals, as a rich renderable."""

    ledgers: Sequence[Ledger]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Header()
        yield from turn_lines(self.ledgers)
        yield Legend(self.ledgers)
        yield Text(totals_sentence(self.ledgers))
        yield from notes(self.ledgers)


def notes(ledgers: Sequence[Ledger]) -> Iterator[Text]:
    """What the turns remark, each remark once with the newest turn that made it."""
    newest = {note: ledger.turn for ledger in ledgers for note in ledger.notes}
    for note, turn in list(newest.items())[-MOST_NOTES:]:
        yield Text.assemble((f"note, turn {turn}: ", "bold"), clean(note))


def turn_lines(ledgers: Sequence[Ledger]) -> list[TurnLine]:
    """A line for every ledger, costs summed as they go."""
    lines: list[TurnLine] = []
    so_far: float | None = 0.0
    for ledger in ledgers:
        cost = cost_of(ledger)
        so_far = None if so_far is None or cost is None else so_far + cost
        lines.append(TurnLine(ledger, so_far))
    return lines


def cost_of(ledger: Ledger) -> float | None:
    """The real cost where it is known, else what the input is expected to cost."""
    return ledger.forecast.cost_usd if ledger.cost_usd is None else ledger.cost_usd


def totals_sentence(ledgers: Sequence[Ledger]) -> str:
    """The sums of a thread on one line."""
    sums = account.totals(ledgers)
    text = (
        f"{count(sums['calls'], 'call')}, {sums['input_tokens']:,} input tokens, "
        f"{_read_words(sums)}, prefix moved {count(sums['moved'], 'time')}; "
        f"input cost {money(sums['expected_input_usd'])}"
    )
    if sums["expected_input_usd"] is not None:
        text += " expected"
    if sums["uncached_input_usd"] is not None:
        text += f" ({money(sums['uncached_input_usd'])} without a cache)"
    return text if sums["real_usd"] is None else f"{text}; {money(sums['real_usd'])} by usage"


def _read_words(sums: dict[str, Any]) -> str:
    """What the cache served: by usage where that is known, beside what was expected."""
    expected = f"{percent(sums['expected_read_share'])} expected"
    if sums["real_read_share"] is None:
        return f"{expected} from the cache"
    some = sums["real_calls"]
    of = f" of {count(some, 'call')} with usage" if some < sums["calls"] else ""
    return f"{percent(sums['real_read_share'])}{of} read from the cache ({expected})"


def thread_json(thread: str, tenant: str, ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """A thread's turns and totals as JSON values."""
    return {
        "thread": thread,
        "tenant": tenant,
        "turns": [account.to_json(ledger) for ledger in ledgers],
        "totals": account.totals(ledgers),
    }
