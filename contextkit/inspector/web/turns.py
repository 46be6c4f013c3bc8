"""Turns as columns for the charts and the table, and one turn with every decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from contextkit.inspector import account
from contextkit.inspector.bill import BillLine, bill, gaps
from contextkit.inspector.difference import Change, difference
from contextkit.inspector.overview import cost_of
from contextkit.inspector.web.reading import NotFound, Reading
from contextkit.ledger import Decision, Ledger
from contextkit.piece import parse_handle

MOST_TURNS = 240
"""Turns in one answer."""
MOST_DECISIONS = 200
"""Decisions, or changes, in one answer; the page asks for more."""


def window(reading: Reading, start: int, stop: int) -> dict[str, Any]:
    """The turns `start <= number < stop` (at most `MOST_TURNS`), a list for every column."""
    start = max(1, start)
    stop = min(stop, start + MOST_TURNS)
    found = reading.ledgers(max(1, start - 1), stop)
    lines = bill(
        [ledger for _, ledger in found],
        reading.manager.rule,
        gaps([turn.closed_at for turn, _ in found]),
    )
    shown = [n for n, (turn, _) in enumerate(found) if turn.number >= start]
    ledgers, bills = [found[n][1] for n in shown], [lines[n] for n in shown]
    return {
        "turn": [ledger.turn for ledger in ledgers],
        "closed_at": [found[n][0].closed_at for n in shown],
        "input": [ledger.input_tokens for ledger in ledgers],
        "window": [ledger.window for ledger in ledgers],
        "limit": [ledger.limit_tokens for ledger in ledgers],
        "names": account.slice_names(ledgers),
        "slices": slice_columns(ledgers),
        "out": [sum(row.freed_tokens for row in account.left_out(each)) for each in ledgers],
        "moved_by": [each.prefix.policy if each.prefix.moved else "" for each in ledgers],
        "uncached_usd": [ledger.forecast.uncached_usd for ledger in ledgers],
        **_bill_columns(bills),
    }


def slice_columns(ledgers: Sequence[Ledger]) -> dict[str, list[int]]:
    """Tokens by slice, one number a turn."""
    columns = {name: [0] * len(ledgers) for name in account.slice_names(ledgers)}
    for place, ledger in enumerate(ledgers):
        for part in account.slices(ledger):
            columns[part.name][place] += part.tokens
    return columns


def _bill_columns(lines: Sequence[BillLine]) -> dict[str, list[Any]]:
    return {
        "billed": [line.input_tokens for line in lines],
        "read": [line.read_tokens for line in lines],
        "write": [line.write_tokens for line in lines],
        "fresh": [line.fresh_tokens for line in lines],
        "output": [line.output_tokens for line in lines],
        "expected_read": [line.expected_read_tokens for line in lines],
        "missed": [line.missed_tokens for line in lines],
        "cost_usd": [line.cost_usd for line in lines],
        "is_real": [line.is_real for line in lines],
        "cause": [line.cause for line in lines],
    }


def turn(reading: Reading, number: int, offset: int = 0, only_out: bool = False) -> dict[str, Any]:
    """One turn: its slices, its bill explained, and decisions from `offset` on."""
    found = reading.ledgers(max(1, number - 1), number + 1)
    if not found or found[-1][1].turn != number:
        reading.ledger(number)
        raise NotFound(f"turn {number}: it left the store while it was read")
    closed, ledger = found[-1]
    times = gaps([each.closed_at for each, _ in found])
    (line,) = bill([ledger], reading.manager.rule, times[-1:])
    kept = [d for d in ledger.decisions if not only_out or d.action in ("drop", "replace")]
    return {
        "turn": number,
        "closed_at": closed.closed_at,
        "window": ledger.window,
        "limit_tokens": ledger.limit_tokens,
        "reply_reserve": ledger.reply_reserve,
        "input_tokens": ledger.input_tokens,
        "upper_tokens": ledger.upper_tokens,
        "exact": ledger.exact,
        "counter": ledger.counter,
        "slices": [asdict(part) for part in account.slices(ledger)],
        "notes": list(ledger.notes),
        "prefix": account.prefix_sentence(ledger),
        "moved_by": ledger.prefix.policy if ledger.prefix.moved else "",
        "bill": asdict(line),
        "cost_usd": cost_of(ledger),
        "uncached_usd": ledger.forecast.uncached_usd,
        "n_decisions": len(ledger.decisions),
        "n_out": sum(d.action in ("drop", "replace") for d in ledger.decisions),
        "n_shown": len(kept),
        "offset": offset,
        "decisions": [_decision(d) for d in kept[offset : offset + MOST_DECISIONS]],
    }


def _decision(decision: Decision) -> dict[str, Any]:
    row = decision._asdict()
    row["n_entries"] = decision.stop - decision.start
    return row


def compare(reading: Reading, first: int, second: int) -> dict[str, Any]:
    """What changed between two turns; at most `MOST_DECISIONS` changes are listed."""
    before, after = (reading.ledger(number)[1] for number in (first, second))
    found = difference(before, after)
    out = found.to_json()
    out["n_changes"] = len(found.changes)
    listed = found.changes[:MOST_DECISIONS]
    out["changes"] = [{**asdict(change), "tokens": _tokens(reading, change)} for change in listed]
    return out


def _tokens(reading: Reading, change: Change) -> int | None:
    span = parse_handle(change.handle)
    return change.tokens if span is None else reading.tokens(*span)
