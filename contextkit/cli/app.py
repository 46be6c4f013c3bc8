"""The commands and their options; what a command does is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from contextkit.errors import ContextKitError


class Guarded(TyperGroup):
    """A group whose commands end with one clear line where contextkit raises on purpose."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; `--debug` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except ContextKitError as error:
            if ctx.params.get("debug"):
                raise
            from contextkit.inspector.words import clean

            typer.echo(f"contextkit: {clean(' '.join(str(error).split()))}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Guarded,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="agent.yaml; without it ./agent.yaml, else echo + memory."),
]
TenantOption = Annotated[str, typer.Option(help="Whose threads.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Pure JSON on stdout.")]
ProviderOption = Annotated[str, typer.Option(help="Whose prices and cache: provider:model.")]
TokenizerOption = Annotated[
    str, typer.Option(help="cl100k_base, o200k_base, or estimate (the model's own counter).")
]
RulesOption = Annotated[
    Path | None, typer.Option(help="YAML whose cache rules and prices come before the shipped.")
]
CadenceOption = Annotated[
    float, typer.Option(help="Seconds between calls where a recording has no times.", min=0)
]


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
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings: JSON or JSONL, .gz too.")],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", "-p", help="Configurations to try, YAML.")
    ] = None,
    provider: ProviderOption = "anthropic:claude-sonnet-4-5",
    window: Annotated[int | None, typer.Option(help="Tokens, in place of each budget's.")] = None,
    reserve: Annotated[int | None, typer.Option(help="Tokens kept for the reply.")] = None,
    tokenizer: TokenizerOption = "cl100k_base",
    rules: RulesOption = None,
    cadence: CadenceOption = 10.0,
    schema_tokens: Annotated[
        int, typer.Option(help="Tokens of tools that were sent but not recorded.", min=0)
    ] = 0,
    limit: Annotated[int | None, typer.Option(help="Only so many recordings.", min=1)] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report to this file.")] = None,
    as_json: JsonOption = False,
    calls: Annotated[bool, typer.Option(help="With --json: every single call too.")] = False,
    baseline: Annotated[bool, typer.Option(help="The untouched history as the first row.")] = True,
) -> None:
    """Re-run recorded conversations under other configurations; compare cost and grounding."""
    from contextkit.cli.replay import Options, run_replay

    options = Options(
        provider, window, reserve, tokenizer, rules, cadence, schema_tokens, limit, html, as_json,
        calls, baseline,
    )  # fmt: skip
    run_replay(files, policy or [], options)


@app.command()
def tune(
    files: Annotated[list[Path], typer.Argument(help="Recordings: JSON or JSONL, .gz too.")],
    start: Annotated[
        Path | None, typer.Option("--start", "-s", help="The configuration to begin with, YAML.")
    ] = None,
    provider: ProviderOption = "anthropic:claude-sonnet-4-5",
    window: Annotated[int | None, typer.Option(help="Tokens, in place of the budget's.")] = None,
    reserve: Annotated[int | None, typer.Option(help="Tokens kept for the reply.")] = None,
    tokenizer: TokenizerOption = "cl100k_base",
    rules: RulesOption = None,
    cadence: CadenceOption = 10.0,
    limit: Annotated[int | None, typer.Option(help="Only so many recordings.", min=1)] = None,
    grounded: Annotated[
        float, typer.Option(help="Share of tool calls whose names must stand in context.", max=1)
    ] = 0.85,
    reachable: Annotated[
        float, typer.Option(help="The same, in context or behind a handle.", max=1)
    ] = 0.0,
    evidence: Annotated[
        float, typer.Option(help="Share of questions whose evidence must be there.", max=1)
    ] = 0.0,
    trials: Annotated[int, typer.Option(help="Replays at most.", min=1)] = 200,
    output: Annotated[Path, typer.Option("--out", "-o", help="The YAML to write.")] = Path(
        "tuned.yaml"
    ),
    state: Annotated[
        Path | None, typer.Option(help="Keeps every replay, so that a search can be gone on with.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search cheaper policy settings on recorded runs, under constraints; write the YAML."""
    from contextkit.cli.tune import Options, run_tune
    from contextkit.replay.tuning import Constraints

    constraints = Constraints(grounded, reachable, evidence)
    options = Options(
        provider, window, reserve, tokenizer, rules, cadence, limit, constraints, trials, output,
        state, as_json,
    )  # fmt: skip
    run_tune(files, start, options)


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
) -> None:
    """Show a thread's turns, one turn's ledger, its bill, or what a handle stands for."""
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


evaluations = typer.Typer(
    cls=Guarded,
    help="Measure retrieval on public data sets; no model is asked.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(evaluations, name="eval")


@evaluations.callback()
def evaluation_root() -> None:
    """Measure retrieval on public data sets; no model is asked."""


@evaluations.command()
def recall(
    files: Annotated[
        list[Path],
        typer.Argument(help="LoCoMo, QMSum, MuSiQue, HotpotQA or lost-in-the-middle files."),
    ],
    embedder: Annotated[
        str, typer.Option(help="minilm, static, hashing, none; by default the best installed.")
    ] = "",
    budget: Annotated[
        list[int] | None, typer.Option("--budget", "-b", help="Tokens; may be given several times.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="trim, bm25, dense, rrf, contextkit; all by default."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps vectors for the next run.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Conversations of each file at the most.", min=1)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the curves as SVG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Is the evidence for a question in the budget? contextkit beside trimming, BM25, vectors, RRF."""
    from contextkit.cli import eval as command
    from contextkit.evals.recall import BUDGETS

    options = command.Options(
        embedder=embedder or command.default_embedder(),
        budgets=tuple(sorted(set(budget or BUDGETS))),
        methods=tuple(method or command.METHODS),
        cache=cache,
        limit=limit,
        plot=plot,
        as_json=as_json,
    )
    command.run_recall(files, options)


@app.command()
def version() -> None:
    """The version of contextkit."""
    from contextkit import __version__

    typer.echo(__version__)
