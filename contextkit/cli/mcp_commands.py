"""`contextkit mcp`: a thread's tools for clients of the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from contextkit.cli.base import ConfigOption, TenantOption, app


@app.command()
def mcp(
    thread: Annotated[str, typer.Option(help="Whose history is served; made where it is missing.")],
    config: ConfigOption = None,
    tenant: TenantOption = "default",
    http: Annotated[
        bool, typer.Option("--http", help="Streamable HTTP on 127.0.0.1, not stdin and stdout.")
    ] = False,
    port: Annotated[int, typer.Option(help="With --http.", min=1, max=65535)] = 8765,
) -> None:
    """Serve expand, search_history and remember of one thread as an MCP server."""
    from contextkit.cli.mcp import run_mcp

    run_mcp(config, thread, tenant, port if http else None)
