"""`contextkit inspect`: a thread's turns, one turn's ledger, its bill, what a handle stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from contextkit.cli.bill import show_bill
from contextkit.cli.listing import show_threads
from contextkit.cli.opening import UsageError, open_reading, out, print_json, print_original
from contextkit.cli.stored import StoredThread, find_thread
from contextkit.inspector import CallReport, Overview, thread_json, to_json
from contextkit.inspector.words import clean, count
from contextkit.messages import to_json as message_json


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be shown; see the command's help."""

    turn: int | None = None
    explain: str | None = None
    expand: str | None = None
    cost: bool = False
    list_threads: bool = False
    all_tenants: bool = False
    limit: int | None = None
    as_json: bool = False

    @property
    def is_of_a_thread(self) -> bool:
        """Whether they ask about one thread, the only one where none is named."""
        return self.cost or any(x is not None for x in (self.turn, self.explain, self.expand))


def run_inspect(name: str | None, config: Path | None, tenant: str, options: Options) -> None:
    """Show what was asked for; nothing is created or written."""
    lists = options.list_threads or options.all_tenants
    if options.all_tenants and (name is not None or options.is_of_a_thread):
        raise UsageError("--all-tenants lists threads; name one with --tenant to look into it")
    with open_reading(config) as manager:
        if lists or (name is None and not options.is_of_a_thread):
            whose = None if options.all_tenants else tenant
            show_threads(manager, whose, options.limit, as_json=options.as_json)
            return
        thread = find_thread(manager, name, tenant)
        if options.expand is not None:
            _expand(thread, options.expand, as_json=options.as_json)
        elif options.explain is not None:
            _explain(thread, options.explain, options.turn, as_json=options.as_json)
        elif options.cost:
            show_bill(thread, options.turn, as_json=options.as_json)
        else:
            _show(thread, options.turn, as_json=options.as_json)


def _show(thread: StoredThread, turn: int | None, *, as_json: bool) -> None:
    if turn is not None:
        ledger = thread.turn(turn)
        print_json(to_json(ledger)) if as_json else out().print(CallReport(ledger))
        return
    turns = thread.turns()
    if as_json:
        print_json(thread_json(thread.name, thread.tenant, turns))
    elif turns:
        out().print(Overview(turns))
    else:
        text = f"{count(len(thread), 'message')}, no recorded turns{thread.calls_beside()}"
        out().print(Text(clean(text)), style="dim")


def _explain(thread: StoredThread, handle: str, turn: int | None, *, as_json: bool) -> None:
    newest = thread.newest_turn()
    if not newest:
        raise UsageError(
            f"thread {thread.name!r} has no recorded turns to explain{thread.calls_beside()}"
        )
    ledger = thread.turn(newest if turn is None else turn)
    text = ledger.explain(handle)
    if as_json:
        print_json({"turn": ledger.turn, "handle": handle, "explanation": text})
    else:
        out().print(Text(clean(f"turn {ledger.turn}: {text}")))


def _expand(thread: StoredThread, handle: str, *, as_json: bool) -> None:
    found = thread.expand(handle)
    if as_json:
        print_json({"handle": handle, "messages": [message_json(m) for m in found]})
    else:
        print_original(found.text)
