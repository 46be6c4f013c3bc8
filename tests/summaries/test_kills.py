"""A build killed at any instant (SIGKILL) leaves a chain without gaps, and the next build goes on."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from contextkit.stores.sql import SqlHistory
from tests.stores.postgres import Server, find_binaries
from tests.summaries.killed import build
from tests.summaries.making import builder, check_chain, said, talk

A_THREAD = 20
"""Kills of builds of one thread; then another one begins."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    ["tests.summaries.making", "psycopg", "sqlalchemy.dialects.postgresql"]
)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    "n_kills",
    [pytest.param(4, id="quick"), pytest.param(250, id="campaign", marks=pytest.mark.slow)],
)
def test_a_killed_build_keeps_the_chain(n_kills: int, kind: str, tmp_path: Path) -> None:
    binaries = find_binaries()
    if kind == "postgres" and binaries is None:
        pytest.skip("no PostgreSQL binaries: neither initdb on the path nor /usr/lib/postgresql")
    server = Server(binaries) if kind == "postgres" and binaries is not None else None
    url = server.create("kills") if server else f"sqlite:///{tmp_path}/history.db"
    store = SqlHistory(url=url)
    try:
        _kill(store, url, n_kills)
    finally:
        store.close()
        if server is not None:
            server.stop()


def _kill(store: SqlHistory, url: str, n_kills: int) -> None:
    chance = random.Random(n_kills)
    n_acknowledged = n_cut_short = 0
    for kill in range(n_kills):
        tenant = f"round {kill // A_THREAD}"
        record = said(store, [] if kill % A_THREAD else talk(12 * A_THREAD), tenant)
        n_before = len(store.summaries(record))
        receiver, sender = _server.Pipe(duplex=False)
        process = _server.Process(target=build, args=(sender, url, tenant))
        process.start()
        sender.close()
        steps = [0]
        try:
            for _ in range(chance.randint(1, 3)):
                steps.append(receiver.recv())
            time.sleep(chance.uniform(0, 0.01))
            process.kill()
            while True:
                steps.append(receiver.recv())
        except (EOFError, ConnectionResetError):
            receiver.close()
        process.join(60)
        n_cut_short += process.exitcode != 0
        process.close()
        assert len(store.summaries(record)) >= n_before + steps[-1]
        n_acknowledged += steps[-1]
        check_chain(store, record)
        if (kill + 1) % A_THREAD == 0 or kill + 1 == n_kills:
            builder(store, record).run()
            cover = check_chain(store, record)
            assert cover[-1].stop > store.head(record).n_entries - 30
    print(
        f"\n{n_kills} kills, {n_cut_short} in the middle: {n_acknowledged} summaries acknowledged"
    )
