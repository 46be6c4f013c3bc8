"""The demonstration as one self-contained HTML page: no scripts, light and dark, readable at 320 px."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from contextkit.demo import terminal as words
from contextkit.demo.questions import Questions
from contextkit.demo.recorded import Recorded
from contextkit.inspector import account
from contextkit.inspector.overview import cost_of, totals_sentence
from contextkit.inspector.svg import bar_svg, describe, slice_class
from contextkit.inspector.words import clean, money, percent
from contextkit.ledger import Ledger

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>contextkit demo</title>
<style>
"""


def render(recorded: Recorded, found: Questions) -> str:
    """The whole page; every text in it is escaped."""
    style = (files("contextkit") / "data" / "demo" / "page.css").read_text(encoding="utf-8")
    body = [*_replay(recorded), *_questions(found)]
    lines = [
        _HEAD + style + "</style>\n</head>\n<body>\n<main>",
        "<h1>contextkit demo</h1>",
        *body,
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _text(value: str) -> str:
    return escape(clean(value))


# -- part one ------------------------------------------------------------------------------------


def _replay(recorded: Recorded) -> Iterable[str]:
    ledgers = recorded.ledgers
    yield f"<h2>A recorded agent run in a window of {recorded.window:,} tokens</h2>"
    yield (
        f"<p>{_text(recorded.source)}, {recorded.n_messages} messages: "
        f"{_text(totals_sentence(ledgers))}.</p>"
    )
    yield _ways(recorded)
    yield f'<p class="note">{_text(words.way_notes(recorded))}</p>'
    yield "<h3>Every call against the window</h3>"
    yield _legend(ledgers)
    yield '<ol class="turns">'
    so_far: float | None = 0.0
    for ledger in ledgers:
        cost = cost_of(ledger)
        so_far = None if so_far is None or cost is None else so_far + cost
        yield _turn(ledger, so_far)
    yield "</ol>"


def _ways(recorded: Recorded) -> str:
    rows = [words.way_cells(way) for way in recorded.ways]
    return _table("What the same run costs in other ways", words.WAY_HEADS, rows, marked=0)


def _table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None
) -> str:
    out = [f'<div class="scroll"><table><caption>{_text(caption)}</caption><thead><tr>']
    out += [f'<th scope="col">{_text(head)}</th>' for head in heads]
    out.append("</tr></thead><tbody>")
    for index, row in enumerate(rows):
        out.append('<tr class="ours">' if index == marked else "<tr>")
        out.append(f'<th scope="row">{_text(row[0])}</th>')
        out += [
            f'<td data-label="{_text(head)}">{_text(cell)}</td>'
            for head, cell in zip(heads[1:], row[1:], strict=True)
        ]
        out.append("</tr>")
    out.append("</tbody></table></div>")
    return "".join(out)


def _legend(ledgers: Sequence[Ledger]) -> str:
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 10 10"><rect class="{slice_class(name)}" '
        f'width="10" height="10"/></svg>{_text(name)}</li>'
        for name in account.slice_names(ledgers)
    )
    return f'<ul class="legend">{items}</ul>'


def _turn(ledger: Ledger, so_far: float | None) -> str:
    parts = account.slices(ledger)
    figures = (
        f"{ledger.input_tokens:,} tokens, {percent(account.read_share(ledger))} from the cache, "
        f"{money(so_far)} so far"
    )
    moved = ""
    if ledger.prefix.moved:
        moved = f'<strong class="moved">moved by {_text(ledger.prefix.policy)}</strong>'
    return (
        f'<li class="turn"><p><b>Turn {ledger.turn}</b> <span>{_text(figures)}</span> {moved}</p>'
        f"{bar_svg(parts, f'Turn {ledger.turn}: {describe(parts)}')}{_details(ledger)}</li>"
    )


def _details(ledger: Ledger) -> str:
    rows = account.left_out(ledger)
    items = "".join(
        f"<li><code>{_text(row.handle)}</code> {row.freed_tokens:,} tokens, "
        f"{_text(row.policy)}: {_text(row.why)}</li>"
        for row in rows
    )
    listed = f"<ul>{items}</ul>" if rows else "<p>Nothing was left out.</p>"
    return (
        f"<details><summary>Why</summary><p>Prefix {_text(account.prefix_sentence(ledger))}.</p>"
        f"{listed}</details>"
    )


# -- part two ------------------------------------------------------------------------------------


def _questions(found: Questions) -> Iterable[str]:
    yield "<h2>Facts told long before</h2>"
    yield f"<p>{_text(words.questions_title(found))}.</p>"
    if found.why_no_model:
        yield f'<p class="note">Evidence only: {_text(found.why_no_model)}</p>'
    yield f"<p><b>{_text(words.questions_summary(found))}</b></p>"
    yield f'<p class="note">{_text(words.CLAIM)}</p>'
    rows = [words.question_cells(row) for row in found.rows]
    yield _table("Every question, none left out", words.QUESTION_HEADS, rows)
