"""`contextkit eval …`: the evaluations and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contextkit.cli.base import Guarded, JsonOption, app

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
