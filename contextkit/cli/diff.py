"""`contextkit diff`: what changed between two turns of a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.text import Text

from contextkit.cli.opening import UsageError, open_reading, out, print_json
from contextkit.cli.stored import StoredThread, find_thread
from contextkit.inspector.difference import Change, Difference, difference
from contextkit.inspector.words import clean
from contextkit.tokens import TokenCounter, measure_all


def run_diff(places: Sequence[str], config: Path | None, tenant: str, *, as_json: bool) -> None:
    """`[THREAD] TURN TURN`: which entries came, left or changed their form between two calls."""
    *names, first, second = places if len(places) >= 2 else ("", "")
    if len(names) > 1 or not (first.isdecimal() and second.isdecimal()):
        raise UsageError("give two turns, as `contextkit diff support/42 3 4`")
    with open_reading(config) as manager:
        thread = find_thread(manager, names[0] if names else None, tenant)
        before, after = thread.turn(int(first)), thread.turn(int(second))
        found = difference(before, after, _counter(thread))
        if as_json:
            print_json({"thread": thread.name, "tenant": tenant, **found.to_json()})
        else:
            _show(thread, found)


def _counter(thread: StoredThread) -> Callable[[int, int], int]:
    counter: TokenCounter = thread.manager.counter

    def count(start: int, stop: int) -> int:
        return counter.tokens(measure_all(counter, thread.messages(start, stop)))

    return count


def _show(thread: StoredThread, found: Difference) -> None:
    console = out()
    before, after = found.input_tokens
    turns = f" - turn {found.first} -> turn {found.second}"
    tokens = f": {before:,} -> {after:,} tokens ({after - before:+,})"
    console.print(Text.assemble((clean(thread.name), "bold"), turns, tokens))
    for name, (was, now) in found.sections.items():
        if was != now:
            console.print(
                Text(clean(f"  {name}: {was:,} -> {now:,} ({now - was:+,})")), style="dim"
            )
    for change in found.changes:
        console.print(Text(clean(_line(change))))
    if not found.changes:
        console.print("both show the same entries in the same form", style="dim")


def _line(change: Change) -> str:
    tokens = "" if change.tokens is None else f" ({change.tokens:,} tokens)"
    by = f": {change.why} [{change.policy}]" if change.policy else ""
    return f"{change.handle}{tokens} {change.before} -> {change.after}{by}"
