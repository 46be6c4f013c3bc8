"""`contextkit demo`: runs both parts, shows them, writes the page."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from contextkit.cli.opening import out, print_json, progress, write_text
from contextkit.demo import Questions, Recorded, ask_questions, run_replay
from contextkit.demo import terminal as show
from contextkit.demo.page import render
from contextkit.demo.recorded import WINDOW
from contextkit.inspector.overview import Header, TurnLine, cost_of
from contextkit.ledger import Ledger

QUICK_CALLS, QUICK_FACTS = 12, 4


def run_demo(path: Path, *, as_json: bool, quick: bool, with_model: bool) -> None:
    """Both parts, the HTML page, and the figures on stdout."""
    console = Console(file=sys.stderr, quiet=True) if as_json else out()
    started = time.monotonic()
    recorded = _part_one(console, QUICK_CALLS if quick else None)
    found = _part_two(console, with_model, QUICK_FACTS if quick else None)
    write_text(path, render(recorded, found))
    if as_json:
        print_json({"replay": recorded.to_json(), "questions": _json(found), "html": str(path)})
        return
    console.print()
    console.print(Text(f"Wrote {path} in {time.monotonic() - started:.0f} s altogether."))


def _part_one(console: Console, n_calls: int | None) -> Recorded:
    console.print(
        Text(f"1. A recorded agent run, replayed in a window of {WINDOW:,} tokens", style="bold")
    )
    console.print(Header())
    total = 0.0

    def show_turn(ledger: Ledger) -> None:
        nonlocal total
        total += cost_of(ledger) or 0.0
        console.print(TurnLine(ledger, total))

    recorded = run_replay(n_calls=n_calls, on_turn=show_turn)
    for part in show.replay_summary(recorded):
        console.print(part)
    return recorded


def _part_two(console: Console, with_model: bool, n_facts: int | None) -> Questions:
    console.print()
    console.print(Text("2. Facts told long before, asked about in a small window", style="bold"))
    with progress("asking", 2 * (n_facts or 12)) as advance:
        found = ask_questions(with_model=with_model, n_facts=n_facts, advance=advance)
    console.print(Text(show.questions_title(found)))
    if found.why_no_model:
        console.print(Text(f"Evidence only: {found.why_no_model}", style="yellow"))
    console.print(show.questions_grid(found))
    console.print(Text(show.questions_summary(found), style="bold"))
    console.print(Text(show.CLAIM, style="dim"))
    return found


def _json(found: Questions) -> dict[str, Any]:
    from dataclasses import asdict

    counts = {
        side: {what: found.count(side, what) for what in ("has_evidence", "is_right")}
        for side in ("truncated", "contextkit")
    }
    return {**asdict(found), "counts": counts}
