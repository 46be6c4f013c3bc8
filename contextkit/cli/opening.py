"""What the commands share: the configuration in force, the consoles, JSON out, progress, refusals."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TextIO, cast

from rich.console import Console

from contextkit.config import Config, read
from contextkit.errors import ConfigError
from contextkit.inspector.words import clean
from contextkit.manager import ContextManager
from contextkit.plugins import find

FALLBACK: Final[dict[str, Any]] = {
    "backend": {"kind": "echo"},
    "history": {"kind": "memory"},
    "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
}
"""In force where there is no configuration: nothing is sent anywhere and nothing is kept."""

AGENT = Path("agent.yaml")
_PADDING = re.compile(r" +$", re.MULTILINE)


class UsageError(ConfigError):
    """A command was called with options or files that do not work together."""


class Unpadded:
    """A stream whose lines end where their words do."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        self._stream.write(_PADDING.sub("", text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def out() -> Console:
    """The console on stdout: without colour where that is wished, unwrapped where it is no terminal."""
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        return console
    pipe = cast("IO[str]", Unpadded(sys.stdout))
    return Console(file=pipe, highlight=False, markup=False, soft_wrap=True)


def aside() -> Console:
    """The console on stderr, for what is said beside the result."""
    console = Console(stderr=True, highlight=False, markup=False)
    console.soft_wrap = not console.is_terminal
    return console


def open_manager(config: Path | None) -> ContextManager:
    """The manager of `--config`, else of ./agent.yaml, else echo + memory, said on stderr."""
    return ContextManager.from_config(_configured(config))


def open_reading(config: Path | None) -> ContextManager:
    """The same over stores that are only looked at: nothing is made or changed in them.

    Raises `StoreError` where there is no history yet; an index that is not there yet is an empty one.
    """
    found = _configured(config)
    beside: dict[str, Any] = {}
    for_reading = getattr(found.history, "for_reading", None)
    if for_reading is not None:
        beside["history"] = for_reading()
    if _lacks_folder(found.vectors):
        beside["vectors"] = find("vectors", "memory")()
    return ContextManager.from_config(found.model_copy(update=beside))


def _lacks_folder(vectors: Any) -> bool:
    """Whether an index on disk would have to be made to be looked at."""
    folder = getattr(vectors, "path", None)
    return isinstance(folder, Path) and not getattr(vectors, "host", "") and not folder.exists()


def open_trial(config: Path | None) -> ContextManager:
    """The same over memory: the configured store is neither read nor written."""
    found = _configured(config)
    beside: dict[str, Any] = {"history": find("stores", "memory")()}
    if found.vectors is not None:
        beside["vectors"] = find("vectors", "memory")()
    return ContextManager.from_config(found.model_copy(update=beside))


def keeps_nothing(manager: ContextManager) -> bool:
    """Whether threads end with the process."""
    return manager.history.kind == "memory"


def _configured(config: Path | None) -> Config:
    path = config_path(config)
    if path is None:
        aside().print(
            "no --config and no ./agent.yaml: using the echo backend and a history in memory",
            style="dim",
        )
    return read_config(path)


def read_config(path: Path | None) -> Config:
    """The configuration in a file; without one, what is in force then. Raises `ConfigError`."""
    return read(FALLBACK if path is None else path)


def one_config(argument: Path | None, option: Path | None) -> Path | None:
    """The configuration of a command that takes it in either place. Raises `UsageError` for both."""
    if argument is not None and option is not None:
        raise UsageError("the configuration was given twice: as an argument and as --config")
    return option if argument is None else argument


def config_path(config: Path | None) -> Path | None:
    """The file in force: the one that was named, else ./agent.yaml where there is one."""
    return AGENT if config is None and AGENT.is_file() else config


def print_original(text: str) -> None:
    """A text as it was said: byte for byte into a pipe, without control characters on a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(clean(text) + "\n")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))


def print_json(value: Any) -> None:
    """Pure JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def check_target(path: Path) -> None:
    """Raises `UsageError` where a file cannot be written: before long work, not after it."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path}: cannot be written (it is a folder)")
    if not folder.is_dir():
        raise UsageError(f"{path}: cannot be written (there is no folder {folder})")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: cannot be written (its folder is write-protected)")


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
