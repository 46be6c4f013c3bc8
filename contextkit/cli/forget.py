"""`contextkit forget`: a thread removed for good, once the question was answered."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from contextkit.cli.opening import UsageError, open_manager, open_reading, out, print_json
from contextkit.cli.stored import find_thread
from contextkit.inspector.words import clean, count


def run_forget(
    name: str, config: Path | None, tenant: str, *, forks: bool, yes: bool, as_json: bool
) -> None:
    """Ask, then remove. Raises `UsageError` where nobody can be asked or there is no such thread."""
    with open_reading(config) as manager:
        n_entries = len(find_thread(manager, name, tenant))
    if not yes:
        _ask(
            f"Remove thread {name!r} of tenant {tenant!r} ({count(n_entries, 'message')}) for good?"
        )
    with open_manager(config) as manager:
        n_removed = manager.forget(name, tenant=tenant, forks=forks)
    if as_json:
        print_json({"tenant": tenant, "thread": name, "entries": n_removed})
    else:
        out().print(clean(f"thread {name!r} is forgotten: {count(n_removed, 'message')} removed"))


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("this cannot be undone: say --yes where nobody can be asked")
    if not typer.confirm(clean(question), err=True):
        raise typer.Exit(1)
