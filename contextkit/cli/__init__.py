"""The command line: `contextkit demo | run | inspect | check | replay` and more; see `--help`.

Errors of the `ContextKitError` tree end a command with one line on stderr and exit code 2.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the `contextkit` command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # what the encoding cannot show becomes "?", never a crash
            reconfigure(errors="replace")
    from contextkit.cli.commands import app

    app(prog_name="contextkit")


__all__ = ["main"]
