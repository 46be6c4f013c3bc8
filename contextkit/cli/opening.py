"""What the commands share: the configuration in force, the consoles, JSON out, progress, refusals."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from contextkit.errors import ConfigError
from contextkit.manager import ContextManager, load

FALLBACK: Final[dict[str, Any]] = {
    "backend": {"kind": "echo"},
    "history": {"kind": "memory"},
    "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
}
"""In force where there is no configuration: nothing is sent anywhere and nothing is kept."""

AGENT = Path("agent.yaml")


class UsageError(ConfigError):
    """A command was called with options or files that do not work together."""


def out() -> Console:
    """The console on stdout; without colour where it is no terminal or NO_COLOR is set."""
    return Console(highlight=False, markup=False, soft_wrap=False)


def aside() -> Console:
    """The console on stderr, for what is said beside the result."""
    return Console(stderr=True, highlight=False, markup=False)


def open_manager(config: Path | None) -> ContextManager:
    """The manager of `--config`, else of ./agent.yaml, else echo + memory, said on stderr."""
    if config is not None:
        return load(config)
    if AGENT.is_file():
        return load(AGENT)
    aside().print(
        "no --config and no ./agent.yaml: using the echo backend and a history in memory",
        style="dim",
    )
    return load(FALLBACK)


def print_json(value: Any) -> None:
    """Pure JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises `UsageError` where that cannot be."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


@contextmanager
def progress(label: str, total: int) -> Generator[Callable[..., None]]:
    """A bar on stderr that shows after a second, and only on a terminal; yields what moves it on."""
    from contextkit.cli.progress import LateBar

    bar = LateBar(aside(), label, total)
    try:
        yield bar.advance
    finally:
        bar.close()
