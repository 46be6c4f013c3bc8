"""`contextkit inspect`: a thread's turns, one turn's ledger, its bill, what a handle stands for."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from contextkit.cli.bill import show_bill
from contextkit.cli.opening import UsageError, open_manager, out, print_json
from contextkit.inspector import CallReport, Overview, thread_json, to_json
from contextkit.inspector.words import clean, count
from contextkit.ledger import Ledger
from contextkit.manager import ContextManager
from contextkit.messages import to_json as message_json
from contextkit.thread import Thread


def run_inspect(
    name: str | None,
    config: Path | None,
    tenant: str,
    *,
    turn: int | None,
    as_json: bool,
    explain: str | None,
    expand: str | None,
    list_threads: bool,
    cost: bool = False,
) -> None:
    """Show what was asked for; a thread that does not exist is not created."""
    with open_manager(config) as manager:
        if list_threads or name is None:
            _list(manager, tenant, as_json=as_json)
            return
        thread = existing_thread(manager, name, tenant)
        if expand is not None:
            _expand(thread, expand, as_json=as_json)
        elif explain is not None:
            _explain(thread, explain, turn, as_json=as_json)
        elif cost:
            show_bill(thread, turn, as_json=as_json)
        else:
            _show(thread, turn, as_json=as_json)


def existing_thread(manager: ContextManager, name: str, tenant: str) -> Thread:
    """A thread that is there. Raises `UsageError` naming those that are."""
    names = [record.name for record in manager.threads(tenant)]
    if name not in names:
        some = ", ".join(names[:6]) or "none"
        more = " ..." if len(names) > 6 else ""
        raise UsageError(f"tenant {tenant!r} has no thread {name!r}; it has {some}{more}")
    return manager.thread(name, tenant=tenant)


def _list(manager: ContextManager, tenant: str, *, as_json: bool) -> None:
    records = manager.threads(tenant)
    heads = [manager.history.head(record) for record in records]
    if as_json:
        rows = [
            {"thread": record.name, "entries": head.n_entries}
            for record, head in zip(records, heads, strict=True)
        ]
        print_json({"tenant": tenant, "threads": rows})
        return
    console = out()
    for record, head in zip(records, heads, strict=True):
        n_entries = count(head.n_entries, "message")
        console.print(Text.assemble(clean(record.name), (f"  {n_entries}", "dim")))
    if not records:
        console.print(f"tenant {tenant!r} has no threads", style="dim")


def _show(thread: Thread, turn: int | None, *, as_json: bool) -> None:
    turns = thread.turns()
    if turn is not None:
        ledger = turn_of(thread, turns, turn)
        print_json(to_json(ledger)) if as_json else out().print(CallReport(ledger))
    elif as_json:
        print_json(thread_json(thread.name, thread.tenant, turns))
    elif turns:
        out().print(Overview(turns))
    else:
        out().print(f"{count(len(thread), 'message')}, no recorded turns", style="dim")


def turn_of(thread: Thread, turns: list[Ledger], number: int) -> Ledger:
    """The ledger of a turn. Raises `UsageError` where there is none of that number."""
    found = next((ledger for ledger in turns if ledger.turn == number), None)
    if found is None:
        raise UsageError(
            f"thread {thread.name!r} has no turn {number}; it has {count(len(turns), 'turn')}"
        )
    return found


def _explain(thread: Thread, handle: str, turn: int | None, *, as_json: bool) -> None:
    turns = thread.turns()
    if not turns:
        raise UsageError(f"thread {thread.name!r} has no recorded turns to explain")
    ledger = turns[-1] if turn is None else turn_of(thread, turns, turn)
    text = ledger.explain(handle)
    if as_json:
        print_json({"turn": ledger.turn, "handle": handle, "explanation": text})
    else:
        out().print(Text(clean(f"turn {ledger.turn}: {text}")))


def _expand(thread: Thread, handle: str, *, as_json: bool) -> None:
    found = thread.expand(handle)
    if as_json:
        print_json({"handle": handle, "messages": [message_json(m) for m in found]})
    else:
        out().print(Text(clean(found.text)))
