"""`contextkit export` and `import`: the messages of threads as JSON Lines, tenants kept.

A line is a message as `contextkit.messages.to_json` writes it, with its `tenant` and `thread`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from contextkit.cli.importing import name_of, read_text
from contextkit.cli.opening import (
    UsageError,
    aside,
    keeps_nothing,
    open_manager,
    open_reading,
    out,
    print_json,
    progress,
)
from contextkit.cli.stored import StoredThread, find_record, find_thread
from contextkit.errors import ContextKitError
from contextkit.inspector.words import clean, count
from contextkit.manager import ContextManager
from contextkit.messages import ROLES, Message, from_json, to_json

PAGE = 256
"""Messages read at a time."""


def run_export(
    name: str | None, path: Path | None, config: Path | None, tenant: str | None, *, as_json: bool
) -> None:
    """One thread, or all of a tenant (of every tenant with None). Raises `UsageError`."""
    if name is not None and tenant is None:
        raise UsageError("--all-tenants takes every thread; leave the name out, or give --tenant")
    with open_reading(config) as manager:
        threads = _chosen(manager, name, tenant)
        n_messages = sum(len(thread) for thread in threads)
        with _target(path) as stream, progress("exporting", n_messages) as advance:
            for thread in threads:
                for line in _lines(thread):
                    stream.write(line)
                    advance()
    if as_json:
        sys.stderr.write(json.dumps({"threads": len(threads), "messages": n_messages}) + "\n")
    else:
        said = f"exported {count(n_messages, 'message')} of {count(len(threads), 'thread')}"
        aside().print(said, style="dim")


def _chosen(manager: ContextManager, name: str | None, tenant: str | None) -> list[StoredThread]:
    if name is not None:
        return [find_thread(manager, name, tenant or "")]
    found = [StoredThread(manager, record) for record in manager.threads(tenant)]
    if not found:
        raise UsageError("there is no thread to export; `contextkit inspect` tells who has any")
    return found


def _lines(thread: StoredThread) -> Iterator[str]:
    place = {"tenant": thread.tenant, "thread": thread.name}
    n_messages = len(thread)
    for start in range(0, n_messages, PAGE):
        for message in thread.messages(start, min(start + PAGE, n_messages)):
            yield json.dumps({**place, **to_json(message)}) + "\n"


@contextmanager
def _target(path: Path | None) -> Generator[TextIO]:
    """Stdout, or a file that is there whole or not at all. Raises `UsageError`."""
    if path is None:
        yield sys.stdout
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Incoming:
    """A thread that a file holds."""

    tenant: str
    name: str
    messages: tuple[Message, ...]


def run_import(
    path: Path, config: Path | None, tenant: str | None, name: str | None, *, as_json: bool
) -> None:
    """All threads of a file as new ones; refused before anything is stored where one is there."""
    threads = read_threads(path, tenant, name)
    with open_manager(config) as manager:
        if keeps_nothing(manager):
            raise UsageError(
                "history: {kind: memory} keeps nothing; name a --config with {kind: sql}"
            )
        for thread in threads:
            if find_record(manager, thread.name, thread.tenant) is not None:
                raise UsageError(
                    f"tenant {thread.tenant!r} has a thread {thread.name!r}; --thread gives another name"
                )
        n_messages = sum(len(thread.messages) for thread in threads)
        with progress("importing", n_messages) as advance:
            for thread in threads:
                _store(manager, thread)
                advance(len(thread.messages))
    if as_json:
        rows = [{"tenant": t.tenant, "thread": t.name, "entries": len(t.messages)} for t in threads]
        print_json({"threads": rows})
    else:
        said = f"imported {count(n_messages, 'message')} into {count(len(threads), 'thread')}"
        out().print(clean(said))


def _store(manager: ContextManager, thread: Incoming) -> None:
    """All of its messages, or no thread at all."""
    stored = manager.thread(thread.name, tenant=thread.tenant)
    try:
        stored.append(thread.messages)
    except ContextKitError:
        manager.forget(thread.name, tenant=thread.tenant)
        raise


def read_threads(path: Path, tenant: str | None = None, name: str | None = None) -> list[Incoming]:
    """What a file holds by thread, in its order. Raises `UsageError` naming the line.

    Lines that name no tenant or thread belong to `default` and to a thread called as the file.
    """
    found: dict[tuple[str, str], list[Message]] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        fields, message = _parsed(f"{path}: line {number}", line)
        whose = tenant if tenant is not None else str(fields.get("tenant", "default"))
        place = (whose, str(fields.get("thread", name_of(path))))
        found.setdefault(place, []).append(message)
    if not found:
        raise UsageError(f"{path}: holds no messages")
    if name is None:
        return [Incoming(*place, tuple(said)) for place, said in found.items()]
    if len(found) > 1:
        raise UsageError(f"--thread: {path} holds {len(found)} threads; leave it out")
    ((whose, _), said) = next(iter(found.items()))
    return [Incoming(whose, name, tuple(said))]


def _parsed(place: str, line: str) -> tuple[Mapping[str, Any], Message]:
    try:
        value: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}, column {error.colno}: {error.msg}") from None
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: is no message as `contextkit export` writes them")
    fields = cast("Mapping[str, Any]", value)
    try:
        message = from_json(fields)
    except (KeyError, TypeError, AttributeError):
        message = None
    if message is None or message.role not in ROLES:
        raise UsageError(f"{place}: is no message as `contextkit export` writes them")
    return fields, message
