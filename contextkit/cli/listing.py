"""`contextkit inspect` without a thread: the newest threads of a tenant, or who has any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from contextkit.cli.opening import keeps_nothing, out, print_json
from contextkit.cli.stored import StoredThread
from contextkit.inspector.unfolded import Unfolded
from contextkit.inspector.words import clean, count, one_line
from contextkit.manager import ContextManager
from contextkit.store import ThreadRecord

LISTED = 50
FIRST_WORDS = 48
OPENING = 8
"""Entries in which the first request is looked for."""


def show_threads(
    manager: ContextManager, tenant: str | None, limit: int | None, *, as_json: bool
) -> None:
    """The threads of a tenant (of all with None), those made last first; `limit` 0 lists all.

    Without a limit there are `LISTED`, as JSON all.
    """
    records = sorted(manager.threads(tenant), key=lambda record: -record.id)
    most = limit if limit is not None else 0 if as_json else LISTED
    shown = records[: most or None]
    rows = [_row(StoredThread(manager, record)) for record in shown]
    others = [] if records or tenant is None else manager.threads(None)
    if as_json:
        value: dict[str, Any] = {"tenant": tenant, "threads": rows, "n_threads": len(records)}
        if others:
            value["other_tenants"] = _by_tenant(others)
        print_json(value)
    elif rows:
        _show(rows, len(records) - len(rows), with_tenant=tenant is None)
    else:
        _show_others(manager, tenant, others)


def _row(thread: StoredThread) -> dict[str, Any]:
    n_turns = thread.manager.history.last_turn(thread.record)
    last = thread.closed(n_turns, n_turns + 1) if n_turns else []
    return {
        "tenant": thread.tenant,
        "thread": thread.name,
        "entries": len(thread),
        "turns": n_turns,
        "last_turn_at": last[0].closed_at if last else None,
        "first_words": _first_words(thread),
    }


def _first_words(thread: StoredThread) -> str:
    opening = thread.messages(0, OPENING)
    asked = next((message for message in opening if message.is_request), None)
    text = asked.text if asked else "\n".join(message.text for message in opening)
    return one_line(text, FIRST_WORDS)


def _show(rows: Sequence[dict[str, Any]], n_more: int, *, with_tenant: bool) -> None:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    if with_tenant:
        table.add_column("tenant", overflow="fold")
    table.add_column("thread", overflow="fold")
    table.add_column("messages", justify="right", no_wrap=True)
    table.add_column("turns", justify="right", no_wrap=True)
    table.add_column("last turn", no_wrap=True)
    table.add_column("first words", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        cells = [row["tenant"]] if with_tenant else []
        cells += [row["thread"], f"{row['entries']:,}", f"{row['turns']:,}"]
        cells += [_moment(row["last_turn_at"]), row["first_words"]]
        table.add_row(*(Text(clean(cell)) for cell in cells))
    console = out()
    console.print(Unfolded(table))
    if n_more:
        console.print(f"... and {count(n_more, 'older thread')}; --limit 0 lists all", style="dim")


def _moment(closed_at: str | None) -> str:
    """To the minute, in the time zone that it was stored in (UTC)."""
    return f"{datetime.fromisoformat(closed_at):%Y-%m-%d %H:%M}" if closed_at else "-"


def _by_tenant(records: Sequence[ThreadRecord]) -> dict[str, int]:
    """How many threads each tenant has, those with most first."""
    return dict(Counter(record.tenant for record in records).most_common())


def _show_others(
    manager: ContextManager, tenant: str | None, others: Sequence[ThreadRecord]
) -> None:
    console = out()
    whose = "no tenant has threads" if tenant is None else f"tenant {tenant!r} has no threads"
    if not others:
        why = "; history: {kind: memory} ends with each process" if keeps_nothing(manager) else ""
        console.print(Text(clean(whose + why)), style="dim")
        return
    console.print(Text(clean(f"{whose}; others have:")))
    tenants = _by_tenant(others)
    for name, n_threads in list(tenants.items())[:LISTED]:
        console.print(Text(clean(f"  {name}  {count(n_threads, 'thread')}")))
    if len(tenants) > LISTED:
        console.print(f"  ... and {count(len(tenants) - LISTED, 'tenant')}", style="dim")
    console.print("--tenant NAME lists one of them, --all-tenants all", style="dim")
