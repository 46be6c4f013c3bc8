"""`contextkit chat`: a conversation in the terminal, or line by line from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from contextkit.cli.opening import open_manager, out
from contextkit.errors import ContextKitError
from contextkit.inspector import CallReport, Overview
from contextkit.inspector.words import clean
from contextkit.thread import Thread

HELP = """/ledger      what the last call was made of, what left and why
/turns       all turns of this thread
/expand m12  the original behind a handle
/explain m12 what became of a handle in the last call
/quit        leave (so does the end of the input)"""


def run_chat(config: Path | None, name: str, tenant: str) -> None:
    """Read requests until the end of the input; exit code 2 where a piped one failed."""
    with open_manager(config) as manager:
        thread = manager.thread(name, tenant=tenant)
        session = _Session(thread, out())
        interactive = sys.stdin.isatty()
        if interactive:
            session.console.print(
                f"thread {clean(name)}, {len(thread)} messages; /help", style="dim"
            )
        for line in _lines(interactive):
            if line == "/quit":
                break
            session.take(line)
    if session.failed and not interactive:
        raise typer.Exit(2)


def _lines(interactive: bool) -> Iterator[str]:
    """What is typed, without empty lines; ends with the input or Ctrl-C."""
    while True:
        try:
            line = input("you> ") if interactive else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return
        if not interactive and not line:
            return
        if line.strip():
            yield line.strip()


class _Session:
    """One thread and the console it talks to."""

    def __init__(self, thread: Thread, console: Console) -> None:
        self.thread = thread
        self.console = console
        self.failed = False

    def take(self, line: str) -> None:
        """A command or a request; an error is one line and the conversation goes on."""
        try:
            self._command(line) if line.startswith("/") else self._answer(line)
        except ContextKitError as error:
            self.failed = True
            typer.echo(f"contextkit: {clean(' '.join(str(error).split()))}", err=True)

    def _answer(self, line: str) -> None:
        for chunk in self.thread.stream(line):
            if chunk.text:
                sys.stdout.write(clean(chunk.text))
                sys.stdout.flush()
        sys.stdout.write("\n")

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        turns = self.thread.turns()
        if name == "/help":
            self.console.print(HELP)
        elif name in ("/ledger", "/turns", "/explain") and not turns:
            self.console.print("nothing was asked yet", style="dim")
        elif name == "/ledger":
            self.console.print(CallReport(turns[-1]))
        elif name == "/turns":
            self.console.print(Overview(turns))
        elif name == "/explain":
            self.console.print(Text(clean(turns[-1].explain(argument.strip()))))
        elif name == "/expand":
            self.console.print(Text(clean(self.thread.expand(argument.strip()).text)))
        else:
            self.console.print(f"there is no {clean(name)}; /help lists what there is", style="dim")
