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
    is_version_asked: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """The context layer for agents: what each model call sees, and why."""
    if is_version_asked:
        version()
        raise typer.Exit
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
    file: Annotated[
        Path, typer.Argument(help="Conversation: JSON or JSONL, .gz too; - reads stdin.")
    ],
    config: ConfigOption = None,
    input: Annotated[str | None, typer.Option(help="What to ask; - reads stdin.")] = None,
    respond: Annotated[bool, typer.Option(help="Send the call and show the reply.")] = False,
    replay_turns: Annotated[
        bool, typer.Option(help="Assemble at every point where the model was called.")
    ] = False,
    index: Annotated[int, typer.Option(help="Which conversation of a JSONL file.", min=0)] = 0,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep it as a new thread; so do --respond and --replay-turns."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a conversation, assemble its next call, show the ledger; nothing is kept unless asked."""
    from contextkit.cli.run import Options, run_file

    run_file(file, config, Options(index, input, respond, replay_turns, keep, as_json))


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="File to write; else stdout.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="It always is JSON.")] = False,
) -> None:
    """The JSON Schema of agent.yaml with every installed plug-in."""
    from contextkit.cli.about import show_schema

    show_schema(out)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="agent.yaml, as --config names it.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with a configuration, or what it means; exit code 1 if it is."""
    from contextkit.cli.check import run_check
    from contextkit.cli.opening import one_config

    run_check(one_config(file, config), as_json=as_json)


@app.command()
def plugins(as_json: JsonOption = False) -> None:
    """The policies, backends and stores that are installed."""
    from contextkit.cli.about import show_plugins

    show_plugins(as_json=as_json)


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
    file: Annotated[
        Path | None, typer.Argument(help="agent.yaml, as --config names it.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant; else all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the vector index again from the history; nothing but time is lost with an index."""
    from contextkit.cli.opening import one_config
    from contextkit.cli.reindex import run_reindex

    run_reindex(one_config(file, config), tenant, as_json=as_json)


@app.command()
def version() -> None:
    """The version of contextkit."""
    from contextkit import __version__

    typer.echo(__version__)
