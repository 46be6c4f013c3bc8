"""What a process under test does: it writes, and acknowledges what the store returned from.

So a test may kill the process at any instant and then ask for everything that was acknowledged.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from contextkit.errors import ViewConflict
from contextkit.store import SeqTaken, StoredView
from contextkit.stores.sql import SqlHistory
from tests.stores.making import after, everything, grow, opened, remeasured, tail, talk

Acknowledge: TypeAlias = Callable[[list[Any]], None]


def main(sender: Connection[Any, Any], url: str, tenant: str, what: str, times: int) -> None:
    """`times` writes, or without end where it is 0."""
    store = SqlHistory(url=url, busy_timeout_s=60)
    _WORK[what](store, tenant, range(times) if times else itertools.count(), sender.send)
    store.close()


def _open(store: SqlHistory, tenant: str, steps: Any, acknowledge: Acknowledge) -> None:
    acknowledge(["open", opened(store, tenant=tenant).id])


def _write(store: SqlHistory, tenant: str, steps: Any, acknowledge: Acknowledge) -> None:
    """Two appends, then a turn whose text says so; the counter of turns shows in every view."""
    thread = opened(store, tenant=tenant)
    for step in steps:
        text = f"{os.getpid()}/{step} " + "word " * (step % 50)
        if step % 3 < 2:
            acknowledge(["append", grow(store, thread, text)[0].seq, text])
        else:
            acknowledge(_commit(store, tenant, f"turn {text}"))


def _commit(store: SqlHistory, tenant: str, text: str) -> list[Any]:
    thread = opened(store, tenant=tenant)
    while True:
        entries = after(tail(store, thread), talk(text, "answer"))
        version = store.head(thread).view_version + 1
        view = StoredView(version, json.dumps({"last": entries[-1].seq}))
        try:
            number = store.commit(thread, entries=entries, view=view, turn=json.dumps([version]))
        except (SeqTaken, ViewConflict):
            continue
        return ["commit", entries[0].seq, text, version, number]


def _recount(store: SqlHistory, tenant: str, steps: Any, acknowledge: Acknowledge) -> None:
    """Counter N measures every message N times as large, plus one."""
    thread = opened(store, tenant=tenant)
    original = everything(store, thread)
    for step in steps:
        thread = store.recount(thread, str(step), iter(remeasured(original, step)))
        acknowledge(["recount", step])


_WORK: dict[str, Callable[[SqlHistory, str, Any, Acknowledge], None]] = {
    "open": _open,
    "write": _write,
    "recount": _recount,
}
