"""`contextkit eval …`: the evaluations and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contextkit.cli.base import Guarded, JsonOption, app

evaluations = typer.Typer(
    cls=Guarded,
    help="Measure retrieval and compression on public data sets.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(evaluations, name="eval")


@evaluations.callback()
def evaluation_root() -> None:
    """Measure retrieval and compression on public data sets."""


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
        list[int] | None,
        typer.Option("--budget", "-b", help="Tokens; may be given several times.", min=1),
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


@evaluations.command()
def compression(
    files: Annotated[
        list[Path],
        typer.Argument(help="Lost-in-the-middle, MuSiQue, HotpotQA or SQuAD files, or texts."),
    ],
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="A method or a baseline; all by default."),
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option("--rate", "-r", help="Share of the tokens that is kept.", min=0.01, max=0.99),
    ] = None,
    passages: Annotated[
        int, typer.Option(help="Passages a text; more than one adds distractors.", min=1)
    ] = 1,
    scorer: Annotated[str, typer.Option(help="surprisal, local.")] = "surprisal",
    judge: Annotated[
        str, typer.Option(help="A local model that reads on and answers, such as pocket.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option(help="Texts of each file at the most.", min=1)
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the curves as SVG.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What is left at a rate: answers, protected spans, what a model can still read; baselines beside."""
    from contextkit.cli import eval_compression as command

    options = command.Options(
        methods=tuple(method or ()),
        rates=tuple(sorted(set(rate or command.RATES))),
        passages=passages,
        scorer=scorer,
        judge=judge,
        limit=limit,
        plot=plot,
        as_json=as_json,
    )
    command.run_compression(files, options)
