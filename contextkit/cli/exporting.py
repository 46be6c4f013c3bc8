"""`contextkit export`: threads with all that was kept for them, as JSON Lines, page by page.

What stands beside a log is looked at before the log's end is: so the log of a thread that is in use
reaches at least as far as its turns, its view and its summaries do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from contextkit.cli.opening import UsageError, aside, open_reading, progress
from contextkit.cli.records import (
    ThreadHead,
    message_writer,
    write_head,
    write_header,
    write_kept,
)
from contextkit.cli.stored import find_thread
from contextkit.inspector.words import count
from contextkit.manager import ContextManager
from contextkit.store import HistoryStore, Kept, ThreadRecord, Tile

PAGE = 256
"""Messages, turns or chunks read at a time."""


def run_export(
    name: str | None, path: Path | None, config: Path | None, tenant: str | None, *, as_json: bool
) -> None:
    """One thread, or all of a tenant (of every tenant with None). Raises `UsageError`."""
    if name is not None and tenant is None:
        raise UsageError("--all-tenants takes every thread; leave the name out, or give --tenant")
    with open_reading(config) as manager:
        records = _chosen(manager, name, tenant)
        n_messages = sum(manager.history.head(each).n_entries for each in records)
        with _target(path) as stream, progress("exporting", n_messages) as advance:
            stream.write(write_header(len(records)))
            shown, forks = {record.id: record for record in records}, _fork_points(records)
            n_messages = sum(
                _write(
                    stream,
                    manager.history,
                    record,
                    shown.get(record.parent or 0),
                    forks[record.id],
                    advance,
                )
                for record in records
            )
    if as_json:
        sys.stderr.write(json.dumps({"threads": len(records), "messages": n_messages}) + "\n")
    else:
        said = f"exported {count(n_messages, 'message')} of {count(len(records), 'thread')}"
        aside().print(said, style="dim")


def _chosen(manager: ContextManager, name: str | None, tenant: str | None) -> list[ThreadRecord]:
    if name is not None:
        return [find_thread(manager, name, tenant or "").record]
    found = manager.threads(tenant)
    if not found:
        raise UsageError("there is no thread to export; `contextkit inspect` tells who has any")
    return _parents_first(found)


def _parents_first(records: Sequence[ThreadRecord]) -> list[ThreadRecord]:
    """By name, but none before the thread that it was forked from."""
    waiting = {record.id: record for record in records}
    ordered: list[ThreadRecord] = []
    for record in records:
        line: list[ThreadRecord] = []
        up: ThreadRecord | None = waiting.get(record.id)
        while up is not None:
            line.append(waiting.pop(up.id))
            up = waiting.get(up.parent or 0)
        ordered += reversed(line)
    return ordered


def _fork_points(records: Sequence[ThreadRecord]) -> dict[int, set[int]]:
    """Where threads were forked from each, those included that were forked from what its forks share."""
    points: dict[int, set[int]] = {record.id: set() for record in records}
    for record in reversed(records):
        if record.parent in points and record.forked_at:
            shared = {at for at in points[record.id] if at <= record.forked_at}
            points[record.parent] |= {record.forked_at, *shared}
    return points


def _write(
    stream: TextIO,
    store: HistoryStore,
    record: ThreadRecord,
    parent: ThreadRecord | None,
    forks: set[int],
    advance: Callable[..., None],
) -> int:
    """One thread; the number of messages written."""
    kept = _kept(store, record)
    n_entries = store.head(record).n_entries
    last = store.entries(record, n_entries - 1, n_entries)
    start = record.forked_at if parent else 0
    head = ThreadHead(
        record.tenant,
        record.name,
        n_entries,
        last[0].chain.hex() if last else "",
        parent.name if parent else None,
        start,
        tuple(sorted(forks)),
    )
    stream.write(write_head(head))
    write_message = message_writer(record.tenant, record.name)
    for at in range(start, n_entries, PAGE):
        for entry in store.entries(record, at, min(at + PAGE, n_entries)):
            stream.write(write_message(entry.message))
            advance()
    for each in kept:
        stream.write(write_kept(each))
    return n_entries - start


def _kept(store: HistoryStore, record: ThreadRecord) -> Iterator[Kept]:
    """What stands beside the log now, long parts read as they are asked for."""
    view, n_turns = store.view(record), store.last_turn(record)
    documents, cover = store.documents(record), store.cover(record)
    summaries = store.summaries(record)

    def read() -> Iterator[Kept]:
        for number in range(1, n_turns + 1, PAGE):
            yield from store.turns(record, number, min(number + PAGE, n_turns + 1))
        if view is not None:
            yield view
        yield from summaries
        yield from (Tile(each.start, each.stop, each.level) for each in cover)
        for document in documents:
            yield document
            for at in range(0, document.n_chunks, PAGE):
                yield from store.chunks(record, document.number, at, at + PAGE)

    return read()


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
