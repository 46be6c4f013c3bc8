"""`contextkit replay` and `tune`: recorded conversations under other configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contextkit.cli.base import (
    CadenceOption,
    JsonOption,
    ProviderOption,
    RulesOption,
    TokenizerOption,
    app,
)


@app.command()
def replay(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings: JSON or JSONL, .gz too; - reads stdin.")
    ],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", "-p", help="Configurations to try, YAML.")
    ] = None,
    provider: ProviderOption = "anthropic:claude-sonnet-4-6",
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
    keep_warm: Annotated[
        bool,
        typer.Option("--keep-warm", help="Bridge pauses with cache reads, where that is cheaper."),
    ] = False,
) -> None:
    """Re-run recorded conversations under other configurations; compare cost and grounding."""
    from contextkit.cli.replay import Options, run_replay

    options = Options(
        provider, window, reserve, tokenizer, rules, cadence, schema_tokens, limit, html, as_json,
        calls, baseline, keep_warm,
    )  # fmt: skip
    run_replay(files, policy or [], options)


@app.command()
def tune(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings: JSON or JSONL, .gz too; - reads stdin.")
    ],
    start: Annotated[
        Path | None, typer.Option("--start", "-s", help="The configuration to begin with, YAML.")
    ] = None,
    provider: ProviderOption = "anthropic:claude-sonnet-4-6",
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
