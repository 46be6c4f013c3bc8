"""`contextkit inspect --web`: the inspector in a browser, until it is interrupted."""

from __future__ import annotations

from pathlib import Path

from contextkit.cli.opening import aside, open_reading
from contextkit.cli.stored import find_thread


def run_web(
    name: str | None,
    config: Path | None,
    tenant: str,
    *,
    host: str,
    port: int,
    token: str | None,
) -> None:
    """Serve the inspector over the configured store; a thread that is named is the first page."""
    from contextkit.inspector.web import serve

    def announce(address: str) -> None:
        aside().print(f"inspector at {address} (Ctrl-C ends it)", soft_wrap=True)

    with open_reading(config) as manager:
        query = None
        if name is not None:
            find_thread(manager, name, tenant)
            query = {"tenant": tenant, "name": name}
        serve(manager, host=host, port=port, token=token, query=query, announce=announce)
