"""A process that writes and acknowledges: `python -m tests.stores.writer URL TENANT WHAT [TIMES]`.

Every line on its output stands for something the store returned from, so a test may kill the
process at any instant and ask for all that was acknowledged.
"""

from __future__ import annotations

import itertools
import json
import os
import sys

from contextkit.errors import ViewConflict
from contextkit.store import SeqTaken, StoredView
from contextkit.stores.sql import SqlHistory
from tests.stores.making import after, everything, grow, opened, remeasured, tail, talk


def acknowledge(*values: object) -> None:
    os.write(1, json.dumps(values).encode() + b"\n")


def append_and_commit(store: SqlHistory, tenant: str, times: int) -> None:
    """Two appends, then a turn whose text says so; the counter of turns shows in every view."""
    thread = opened(store, tenant=tenant)
    for step in itertools.count():
        text = f"{os.getpid()}/{step} " + "word " * (step % 50)
        if step % 3 < 2:
            entry = grow(store, thread, text)[0]
            acknowledge("append", entry.seq, text)
        else:
            _commit(store, tenant, f"turn {text}")
        if step + 1 == times:
            return


def _commit(store: SqlHistory, tenant: str, text: str) -> None:
    thread = opened(store, tenant=tenant)
    while True:
        entries = after(tail(store, thread), talk(text, "answer"))
        version = store.head(thread).view_version + 1
        view = StoredView(version, json.dumps({"last": entries[-1].seq}))
        try:
            number = store.commit(thread, entries=entries, view=view, turn=json.dumps([version]))
        except (SeqTaken, ViewConflict):
            continue
        acknowledge("commit", entries[0].seq, text, version, number)
        return


def recount_again_and_again(store: SqlHistory, tenant: str, times: int) -> None:
    """Counter `N` measures every message N times as large, plus one."""
    thread = opened(store, tenant=tenant)
    original = everything(store, thread)
    acknowledge("ready")
    for factor in range(1, times + 1) if times else itertools.count(1):
        thread = store.recount(thread, str(factor), iter(remeasured(original, factor)))
        acknowledge("recount", factor)


def main(url: str, tenant: str, what: str, times: int = 0) -> None:
    store = SqlHistory(url=url, busy_timeout_s=60)
    if what == "open":
        acknowledge("open", opened(store, tenant=tenant).id)
    elif what == "recount":
        recount_again_and_again(store, tenant, times)
    else:
        append_and_commit(store, tenant, times)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
