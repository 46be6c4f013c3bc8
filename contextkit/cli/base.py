"""The command line's root and the options that several commands share."""

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
