"""What a process does that is to be killed: it builds, and acknowledges every step that has returned."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

from contextkit.stores.sql import SqlHistory
from tests.summaries.making import builder, said


def build(sender: Connection[Any, Any], url: str, tenant: str) -> None:
    """Every summary that is due; what is sent is the number of steps so far."""
    store = SqlHistory(url=url, busy_timeout_s=60)
    making = builder(store, said(store, [], tenant))
    sender.send(0)
    n_steps = 0
    while making.step():
        n_steps += 1
        sender.send(n_steps)
    store.close()
