"""`contextkit serve`: the proxy and its options."""

from __future__ import annotations

from typing import Annotated

import typer

from contextkit.cli.base import ConfigOption, app


@app.command()
def serve(
    config: ConfigOption = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="The provider, as https://api.openai.com; without it the backend answers."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any.", min=0, max=65535)] = 8321,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CONTEXTKIT_TOKEN",
            help="What clients must send as x-contextkit-token; better from the variable.",
        ),
    ] = None,
    upstream_key_env: Annotated[
        str | None,
        typer.Option(help="Variable with the key for the upstream, in place of clients'."),
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen beyond this machine without a token.")
    ] = False,
    tenant: Annotated[
        str | None, typer.Option(help="One tenant for all; without it each API key is one.")
    ] = None,
    trust_tenant_header: Annotated[
        bool, typer.Option(help="x-contextkit-tenant names the tenant, whatever the key.")
    ] = False,
    max_body_mib: Annotated[int, typer.Option(help="Largest request in MiB.", min=1)] = 64,
    requests_per_minute: Annotated[int | None, typer.Option(help="For each tenant.", min=1)] = None,
    concurrency: Annotated[
        int, typer.Option(help="Requests under way for each tenant.", min=1)
    ] = 256,
    timeout_s: Annotated[
        float, typer.Option(help="Longest silence of the upstream, in seconds.", min=0.1)
    ] = 600.0,
    drain_s: Annotated[
        float, typer.Option(help="How long answers may go on once it is told to stop.", min=1)
    ] = 30.0,
    remember_mib: Annotated[
        int, typer.Option(help="Memory for recognising what is sent again, in MiB.", min=0)
    ] = 256,
    log_level: Annotated[
        str, typer.Option(help="debug, info, warning or error; on stderr.")
    ] = "warning",
) -> None:
    """A proxy for agents whose code stays as it is: point their base_url at it."""
    from contextkit.cli.serve import Options, run_serve

    options = Options(
        host=host,
        port=port,
        token=token,
        upstream_key_env=upstream_key_env,
        allow_remote=allow_remote,
        upstream=upstream,
        tenant=tenant,
        trust_tenant_header=trust_tenant_header,
        max_body_mib=max_body_mib,
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
        timeout_s=timeout_s,
        drain_s=drain_s,
        remember_mib=remember_mib,
        log_level=log_level,
    )
    run_serve(config, options)
