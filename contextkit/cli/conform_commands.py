"""`contextkit conform`: the laws of managed context, held against any trimmer."""

from __future__ import annotations

from typing import Annotated

import typer

from contextkit.cli.base import JsonOption, app


@app.command()
def conform(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(help="module:function, peer:NAME, or a YAML configuration."),
    ] = None,
    cases: Annotated[int, typer.Option(help="Made-up transcripts.", min=1)] = 400,
    budget: Annotated[int, typer.Option(help="Tokens that an answer may take.", min=16)] = 300,
    seed: Annotated[int, typer.Option(help="Of the transcripts.")] = 0,
    form: Annotated[str, typer.Option(help="Whose messages: openai or anthropic.")] = "openai",
    shape: Annotated[
        str, typer.Option(help="How transcripts are drawn: mixed or tools.")
    ] = "mixed",
    law: Annotated[
        list[str] | None, typer.Option(help="Only these decide the exit code; may be repeated.")
    ] = None,
    every_call: Annotated[
        bool, typer.Option(help="Judge every call of a transcript, not only its last.")
    ] = False,
    peers: Annotated[bool, typer.Option(help="Judge every peer that is installed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold the laws against a trimmer or memory on made-up transcripts; exit code 1 where one breaks."""
    from contextkit.cli.conform import Options, run_conform

    options = Options(cases, budget, seed, form, shape, tuple(law or ()), every_call, as_json)
    if not run_conform(subjects or [], peers, options):
        raise typer.Exit(1)
