"""`contextkit mcp`: opens the thread and serves it; stdout belongs to the protocol."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio

from contextkit.cli.opening import UsageError, aside, open_manager
from contextkit.mcp_server import LOOPBACK, PATH, mcp_server, mcp_tools, serve_http, serve_stdio


def run_mcp(config: Path | None, name: str, tenant: str, port: int | None) -> None:
    """Serve until the client hangs up or the command is interrupted. Raises `UsageError`."""
    if not name.strip():
        raise UsageError("--thread: name a thread")
    with open_manager(config) as manager:
        thread = manager.thread(name, tenant=tenant)
        server = mcp_server(mcp_tools(thread))
        where = "stdin and stdout" if port is None else f"http://{LOOPBACK}:{port}{PATH}"
        aside().print(f"MCP: thread {name!r}, {len(thread):,} messages, on {where}", style="dim")
        if port is None:
            anyio.run(serve_stdio, server)
        else:
            anyio.run(partial(serve_http, server, port))
