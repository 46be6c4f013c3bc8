"""`contextkit verify`: everything a store holds, derived again and compared."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer
from rich.text import Text

from contextkit.cli.opening import open_reading, out, print_json
from contextkit.inspector.words import clean, count


def run_verify(config: Path | None, tenant: str | None, *, as_json: bool) -> None:
    """List what is wrong; exit code 1 where anything is."""
    with open_reading(config) as manager:
        n_threads = len(manager.threads(tenant))
        found = manager.verify(tenant)
    if as_json:
        print_json({"threads": n_threads, "problems": [asdict(problem) for problem in found]})
    else:
        console = out()
        for problem in found:
            place = f"{problem.tenant}/{problem.thread}"
            place += "" if problem.seq is None else f" m{problem.seq}"
            console.print(Text(clean(f"{place}: {problem.what}")))
        verdict = "nothing is wrong" if not found else count(len(found), "problem")
        console.print(f"{count(n_threads, 'thread')} checked: {verdict}")
    if found:
        raise typer.Exit(1)
