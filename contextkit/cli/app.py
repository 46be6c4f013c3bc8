"""The commands and their options; what a command does is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contextkit.cli.base import ConfigOption, JsonOption, TenantOption, app


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """The context layer for agents: what each model call sees, and why."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def demo(
    html: Annotated[Path, typer.Option(help="Where the page is written.")] = Path(
        "contextkit-demo.html"
    ),
    as_json: JsonOption = False,
    quick: Annotated[bool, typer.Option(help="A shorter run.")] = False,
    model: Annotated[bool, typer.Option(help="Ask the local pocket model.")] = True,
) -> None:
    """Replay a real agent run in a tight window, then ask a small local model."""
    from contextkit.cli.demo import run_demo

    run_demo(html, as_json=as_json, quick=quick, with_model=model)


@app.command()
def chat(
    config: ConfigOption = None,
    thread: Annotated[str, typer.Option(help="Name of the thread.")] = "chat",
    tenant: TenantOption = "default",
) -> None:
    """Talk to the configured model; /help lists what can be asked about the context."""
    from contextkit.cli.chat import run_chat

    run_chat(config, thread, tenant)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Conversation: JSON or JSONL, .gz too.")],
    config: ConfigOption = None,
    input: Annotated[str | None, typer.Option(help="What to ask; - reads stdin.")] = None,
    respond: Annotated[bool, typer.Option(help="Send the call and show the reply.")] = False,
    replay_turns: Annotated[
        bool, typer.Option(help="Assemble at every point where the model was called.")
    ] = False,
    index: Annotated[int, typer.Option(help="Which conversation of a JSONL file.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Read a conversation, assemble its next call, show the ledger."""
    from contextkit.cli.run import run_file

    run_file(
        file,
        config,
        index=index,
        question=input,
        respond=respond,
        replay_turns=replay_turns,
        as_json=as_json,
    )


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
    """Show a thread's turns, one turn's ledger, its bill, or what a handle stands for."""
    if web:
        from contextkit.cli.inspect_web import run_web

        run_web(thread, config, tenant, host=host, port=port, token=token)
        return
    from contextkit.cli.inspect import run_inspect

    run_inspect(
        thread,
        config,
        tenant,
        turn=turn,
        as_json=as_json,
        explain=explain,
        expand=expand,
        list_threads=list_threads,
        cost=cost,
    )


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
def schema(
    out: Annotated[Path | None, typer.Option(help="File to write; else stdout.")] = None,
) -> None:
    """The JSON Schema of agent.yaml with every installed plug-in."""
    from contextkit.cli.about import show_schema

    show_schema(out)


@app.command()
def plugins(as_json: JsonOption = False) -> None:
    """The policies, backends and stores that are installed."""
    from contextkit.cli.about import show_plugins

    show_plugins(as_json=as_json)


@app.command()
def verify(
    config: ConfigOption = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant; else all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every digest, chain, total and view of a store and its index; exit code 1 if one is wrong."""
    from contextkit.cli.verify import run_verify

    run_verify(config, tenant, as_json=as_json)


@app.command("kv-size")
def kv_size(
    model: Annotated[str, typer.Argument(help="A shipped model, a folder, a Hugging Face name.")],
    tokens: Annotated[int, typer.Option(help="Tokens that one stream has read.", min=1)],
    sinks: Annotated[int, typer.Option(help="First tokens kept with a window.", min=0)] = 4,
    window: Annotated[int, typer.Option(help="Recent tokens kept.", min=1)] = 4096,
    page_tokens: Annotated[int, typer.Option(help="Tokens of a page.", min=1)] = 64,
    as_json: JsonOption = False,
) -> None:
    """How many bytes a local model's key-value cache takes, with every option."""
    from contextkit.cli.kv_size import show_kv_size

    show_kv_size(
        model, tokens, sinks=sinks, window=window, page_tokens=page_tokens, as_json=as_json
    )


@app.command()
def reindex(
    config: Annotated[
        Path | None, typer.Argument(help="agent.yaml; without it ./agent.yaml.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant; else all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the vector index again from the history; nothing but time is lost with an index."""
    from contextkit.cli.reindex import run_reindex

    run_reindex(config, tenant, as_json=as_json)


@app.command()
def version() -> None:
    """The version of contextkit."""
    from contextkit import __version__

    typer.echo(__version__)
