"""`contextkit reindex`: the vector index made again from the history, which is the only truth."""

from __future__ import annotations

from pathlib import Path

from contextkit import searchable
from contextkit.cli.opening import UsageError, open_manager, out, print_json, progress
from contextkit.inspector.words import count


def run_reindex(config: Path | None, tenant: str | None, *, as_json: bool) -> None:
    """Rebuild and say how many rows there are now. Raises `UsageError` for a tenant without threads."""
    with open_manager(config) as manager:
        threads = manager.threads(tenant)
        if tenant is not None and not threads:
            raise UsageError(
                f"--tenant {tenant}: has no threads; `contextkit inspect` tells who has"
            )
        total = sum(searchable.size(manager.history, thread) for thread in threads)
        with progress("rows of the vector index", total) as advance:
            n_rows = manager.reindex(tenant, advance=advance)
    if as_json:
        print_json({"threads": len(threads), "rows": n_rows})
    else:
        out().print(f"{count(len(threads), 'thread')}: {count(n_rows, 'row')} in the vector index")
