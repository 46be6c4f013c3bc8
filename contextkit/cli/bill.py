"""`contextkit inspect --cost`: a thread's calls with what they used, and why the cache was missed."""

from __future__ import annotations

from rich.text import Text

from contextkit.cli.opening import out, print_json
from contextkit.cli.stored import StoredThread
from contextkit.inspector.bill import BillLine, bill, bill_json, by_policy, gaps
from contextkit.inspector.overview import totals_sentence
from contextkit.inspector.words import clean, count, money

HEAD = f"{'turn':>4} {'input':>9} {'read':>9} {'expected':>9} {'missed':>9} {'cost':>9}"


def show_bill(thread: StoredThread, turn: int | None, *, as_json: bool) -> None:
    """The bill of a thread, or of one of its turns. Raises `UsageError` for a turn that is not there."""
    if turn is not None:
        thread.turn(turn)  # raises where there is none of that number
    stored = thread.closed()
    ledgers = [each.ledger for each in stored]
    lines = bill(ledgers, thread.manager.rule, gaps([t.closed_at for t in stored]))
    if turn is not None:
        ledgers = [ledger for ledger in ledgers if ledger.turn == turn]
        lines = [line for line in lines if line.turn == turn]
    if as_json:
        print_json({"thread": thread.name, "tenant": thread.tenant, **bill_json(lines, ledgers)})
        return
    console = out()
    if not lines:
        text = f"no recorded turns to bill{thread.calls_beside()}"
        console.print(Text(clean(text)), style="dim")
        return
    console.print(Text(HEAD), style="dim")
    for line in lines:
        console.print(Text(_figures(line)))
        if line.cause:
            console.print(Text(clean(f"     {line.cause}")), style="yellow")
    for policy, sums in by_policy(ledgers).items():
        text = (
            f"{policy}: moved the prefix {count(sums['moves'], 'time')}, "
            f"{sums['rewritten_tokens']:,} tokens written again, {money(sums['usd'])} more than reading"
        )
        console.print(Text(clean(text)), style="dim")
    console.print(Text(totals_sentence(ledgers)))


def _figures(line: BillLine) -> str:
    cost = "-" if line.cost_usd is None else money(line.cost_usd)
    mark = "" if line.is_real else " (expected)"
    return (
        f"{line.turn:>4} {line.input_tokens:>9,} {line.read_tokens:>9,} "
        f"{line.expected_read_tokens:>9,} {line.missed_tokens:>9,} {cost:>9}{mark}"
    )
