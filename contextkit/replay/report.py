"""A comparison as one self-contained HTML page: no scripts, light and dark, readable at 320 px."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import accumulate
from typing import Any

from contextkit.inspector import account
from contextkit.inspector.svg import slice_class
from contextkit.inspector.words import clean, count, money
from contextkit.replay import charts
from contextkit.replay.comparing import Comparison
from contextkit.replay.outcome import Outcome

SHOWN_RUNS = 3
"""Recordings whose calls are drawn: the longest ones."""
MOVES_LISTED = 12
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>contextkit replay</title>
<style>
"""
COLUMNS = (
    ("cost", "cost", ".3f"),
    ("input cost", "input_usd", "usd"),
    ("cache reads", "read_share", ".1%"),
    ("cache writes", "write_share", ".1%"),
    ("kept", "kept_share", ".1%"),
    ("peak tokens", "peak_tokens", ",d"),
    ("moved", "moves", ",d"),
    ("invalid", "invalid", ",d"),
    ("refused", "refused", ",d"),
    ("grounded", "grounded", ".1%"),
    ("reachable", "reachable", ".1%"),
    ("evidence", "evidence", ".1%"),
    ("warm reads", "warm_reads", ",d"),
    ("assembly ms", "assembly_ms_p50", ".2f"),
)
"""Head, figure, format; a column that no configuration has a figure for is left out."""


def render(comparison: Comparison) -> str:
    """The whole page; every text in it is escaped."""
    style = _style("demo/page.css") + _style("replay/report.css")
    body = [*_summary(comparison), *_runs(comparison)]
    return "\n".join(
        [
            _HEAD + style + "</style>\n</head>\n<body>\n<main>",
            "<h1>contextkit replay</h1>",
            *body,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _style(name: str) -> str:
    return (files("contextkit") / "data" / name).read_text(encoding="utf-8")


def _text(value: str) -> str:
    return escape(clean(value))


# -- the table -------------------------------------------------------------------------------------


def _summary(comparison: Comparison) -> Iterable[str]:
    rows = [summary.to_json() for summary in comparison.summaries]
    rule, first = comparison.provider.rule, rows[0]
    yield (
        f"<p>{count(first['runs'], 'recording')}, {count(first['calls'], 'call')}, "
        f"{first['full_tokens']:,} tokens where every call sends the whole history. Cost is that of "
        f"the input over that history uncached, by the rules of {_text(str(comparison.provider))} "
        f"of {rule.as_of}, counted with {_text(comparison.provider.counter.name)}. Nothing was sent: "
        "the provider's cache is simulated.</p>"
    )
    shown = [column for column in COLUMNS if any(_is_told(column[1], row) for row in rows)]
    yield '<div class="scroll"><table><caption>Configurations</caption><thead><tr>'
    heads = ["configuration", *(head for head, _, _ in shown)]
    yield "".join(f'<th scope="col">{_text(head)}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield f'<tr><th scope="row">{_text(row["setup"])}</th>'
        yield "".join(
            f'<td data-label="{_text(head)}">{_text(_figure(row[name], form))}</td>'
            for head, name, form in shown
        )
        yield "</tr>"
    yield "</tbody></table></div>"
    yield from (f'<p class="note">{_text(note)}</p>' for note in comparison.notes[:20])


def _is_told(name: str, row: Mapping[str, Any]) -> bool:
    """Whether a column says something of this row; no reads are the rule and not worth a column."""
    return bool(row[name]) if name == "warm_reads" else row[name] is not None


def _figure(value: Any, form: str) -> str:
    if value is None:
        return "-"
    return money(value) if form == "usd" else format(value, form)


# -- single recordings -----------------------------------------------------------------------------


def _runs(comparison: Comparison) -> Iterable[str]:
    first = comparison.summaries[0].outcomes
    order = sorted(range(len(first)), key=lambda i: -len(first[i].calls))[:SHOWN_RUNS]
    for index in order:
        outcomes = [summary.outcomes[index] for summary in comparison.summaries]
        yield f"<h2>{_text(outcomes[0].recording)}</h2>"
        yield f"<p>{count(len(outcomes[0].calls), 'call')}; the cost of the input so far:</p>"
        series = [list(accumulate(call.billed_tokens for call in o.calls)) for o in outcomes]
        ends = ", ".join(
            f"{outcome.setup} {values[-1]:,.0f}"
            for outcome, values in zip(outcomes, series, strict=True)
            if values
        )
        yield charts.lines(series, f"Cost so far in tokens at the uncached price: {ends}")
        yield _line_legend(outcomes, series)
        top = max((c.usage.input_tokens for o in outcomes for c in o.calls), default=1)
        yield _slice_legend(outcomes)
        for outcome in outcomes:
            yield from _calls(outcome, top)


def _line_legend(outcomes: Sequence[Outcome], series: Sequence[Sequence[float]]) -> str:
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 20 10"><line class="line-{i % charts.N_LINES}" '
        f'x1="0" y1="5" x2="20" y2="5"/></svg>{_text(outcome.setup)}: '
        f"{(values[-1] if values else 0):,.0f} tokens</li>"
        for i, (outcome, values) in enumerate(zip(outcomes, series, strict=True))
    )
    return f'<ul class="legend">{items}</ul>'


def _slice_legend(outcomes: Sequence[Outcome]) -> str:
    ledgers = [c.ledger for o in outcomes for c in charts.thinned(o.calls) if c.ledger]
    names = [n for n in account.slice_names(ledgers) if n not in (account.FREE, account.RESERVE)]
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 10 10"><rect class="{slice_class(name)}" '
        f'width="10" height="10"/></svg>{_text(name)}</li>'
        for name in names
    )
    return f'<ul class="legend">{items}</ul>'


def _calls(outcome: Outcome, top: int) -> Iterable[str]:
    sent = sum(call.usage.input_tokens for call in outcome.calls)
    moved = [(n, call) for n, call in enumerate(outcome.calls, 1) if call.moved]
    yield f"<h4>{_text(outcome.setup)}</h4>"
    label = f"{outcome.setup}: {sent:,} tokens in {len(outcome.calls)} calls, {len(moved)} moved"
    yield charts.columns(outcome.calls, top, label)
    if moved:
        items = "".join(
            f"<li>call {n}: {_text(charts.describe(call))}</li>" for n, call in moved[:MOVES_LISTED]
        )
        more = len(moved) - MOVES_LISTED
        rest = f"<li>and {more} more</li>" if more > 0 else ""
        summary = f"The prefix moved {count(len(moved), 'time')}"
        yield f"<details><summary>{summary}</summary><ul>{items}{rest}</ul></details>"
    refused = [call.refused for call in outcome.calls if call.refused]
    if refused:
        yield f'<p class="note">{count(len(refused), "call")} refused: {_text(refused[0])}</p>'
