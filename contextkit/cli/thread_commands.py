"""`contextkit inspect`, `diff`, `verify`, `export`, `import` and `forget`: what a store holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contextkit.cli.base import ConfigOption, JsonOption, TenantOption, app


@app.command()
def inspect(
    thread: Annotated[str | None, typer.Argument(help="Name of the thread.")] = None,
    turn: Annotated[int | None, typer.Option(help="One turn, counted from 1.", min=1)] = None,
    config: ConfigOption = None,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
    explain: Annotated[str | None, typer.Option(help="What became of a handle.")] = None,
    expand: Annotated[str | None, typer.Option(help="The original behind a handle.")] = None,
    list_threads: Annotated[bool, typer.Option("--list", help="List the threads.")] = False,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="List the threads of every tenant.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(help="Threads listed, 0 for all; else 50, with --json all.", min=0),
    ] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="The bill: what was used, expected, missed, and why.")
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="In a browser, all tenants, until interrupted.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --web: where it listens; beyond this machine it asks a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="With --web: its port; 0 for any free one.", min=0, max=65535)
    ] = 8642,
    token: Annotated[
        str | None, typer.Option(help="With --web: the token to ask for; else one is made.")
    ] = None,
) -> None:
    """List the threads, or show one's turns, a turn's ledger, its bill, what a handle stands for."""
    if web:
        from contextkit.cli.inspect_web import run_web

        run_web(thread, config, tenant, host=host, port=port, token=token)
        return
    from contextkit.cli.inspect import Options, run_inspect

    options = Options(turn, explain, expand, cost, list_threads, all_tenants, limit, as_json)
    run_inspect(thread, config, tenant, options)


@app.command()
def diff(
    places: Annotated[list[str], typer.Argument(help="[THREAD] TURN TURN")],
    config: ConfigOption = None,
    tenant: TenantOption = "default",
    as_json: JsonOption = False,
) -> None:
    """What changed between two turns of a thread: what came, left, or stands in another form."""
    from contextkit.cli.diff import run_diff

    run_diff(places, config, tenant, as_json=as_json)


@app.command()
def verify(
    config: ConfigOption = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant; else all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every digest, chain, total and view of a store and its index; exit code 1 if one is wrong."""
    from contextkit.cli.verify import run_verify

    run_verify(config, tenant, as_json=as_json)


@app.command()
def export(
    thread: Annotated[str | None, typer.Argument(help="Name of the thread; else all.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; else stdout.")
    ] = None,
    config: ConfigOption = None,
    tenant: TenantOption = "default",
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="The threads of every tenant.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was written, on stderr.")] = False,
) -> None:
    """Write the messages of threads as JSON Lines, each with its tenant and thread."""
    from contextkit.cli.exporting import run_export

    run_export(thread, out, config, None if all_tenants else tenant, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What export wrote, .gz too; - reads stdin.")],
    config: ConfigOption = None,
    tenant: Annotated[str | None, typer.Option(help="Whose they become; else as written.")] = None,
    thread: Annotated[str | None, typer.Option(help="Its name here; else as written.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Store exported messages as new threads; one that is there already is not touched."""
    from contextkit.cli.restoring import run_import

    run_import(file, config, tenant, thread, as_json=as_json)


@app.command()
def forget(
    thread: Annotated[str, typer.Argument(help="Name of the thread.")],
    config: ConfigOption = None,
    tenant: TenantOption = "default",
    forks: Annotated[
        bool, typer.Option("--forks", help="Its forks too, which share its messages.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a thread for good: messages, ledgers, documents, vectors."""
    from contextkit.cli.forget import run_forget

    run_forget(thread, config, tenant, forks=forks, yes=yes, as_json=as_json)
