"""A process killed at any instant (SIGKILL) loses nothing that it had acknowledged.

Trials of writing kill one or two writers of one thread; every acknowledged entry, view and turn must
be there in the reopened history, each turn whole or not at all, and `verify` must find nothing.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from contextkit.stores.sql import SqlHistory
from tests.stores.making import everything, grow, opened, remeasured
from tests.stores.processes import Writer

TRIALS = [
    pytest.param(10, id="quick"),
    pytest.param(200, id="campaign", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("n_trials", TRIALS)
def test_a_killed_writer_loses_nothing_acknowledged(sql_url: str, n_trials: int) -> None:
    chance = random.Random(n_trials)
    n_acknowledged = n_unacknowledged = 0
    for trial in range(n_trials):
        tenant = f"trial {trial}"
        writers = [Writer(sql_url, tenant, "write") for _ in range(1 + trial % 2)]
        acknowledged = [writers[0].first()]
        time.sleep(chance.uniform(0, 0.2))
        for writer in writers:
            acknowledged += writer.kill()
        n_stored = check(sql_url, tenant, acknowledged)
        n_acknowledged += len(acknowledged)
        n_unacknowledged += n_stored - len(acknowledged)
    print(f"\n{n_trials} kills: {n_acknowledged} writes acknowledged and found,", end=" ")
    print(f"{n_unacknowledged} more stored in the instant of the kill")


def check(url: str, tenant: str, acknowledged: Sequence[list[Any]]) -> int:
    """All that was acknowledged is there; returns how many writes are stored in all."""
    history = SqlHistory(url=url)
    thread = opened(history, tenant=tenant)
    entries = everything(history, thread)
    texts = [entry.message.text for entry in entries]
    turns, view = history.turns(thread), history.view(thread)
    version = view.version if view else 0
    for what, seq, text, *rest in acknowledged:
        assert texts[seq] == text
        if what == "commit":
            committed, number = rest
            assert committed <= version
            assert turns[number - 1].body == json.dumps([committed])
    assert version == len(turns) == sum(text.startswith("turn") for text in texts)
    if view:
        assert texts[json.loads(view.body)["last"]] == "answer"
    assert list(history.verify(tenant)) == []
    history.close()
    return len(entries) - len(turns)


@pytest.mark.parametrize(
    "n_trials",
    [pytest.param(5, id="quick"), pytest.param(50, id="campaign", marks=pytest.mark.slow)],
)
def test_a_killed_recount_leaves_one_counter_and_its_measures(sql_url: str, n_trials: int) -> None:
    chance = random.Random(n_trials)
    history = SqlHistory(url=sql_url)
    thread = opened(history)
    original = grow(history, thread, *(f"message {i}" for i in range(700)))
    fork = history.fork(thread, "fork", at=300)
    for _ in range(n_trials):
        writer = Writer(sql_url, "acme", "recount")
        writer.first()
        time.sleep(chance.uniform(0, 0.2))
        acknowledged = writer.kill()
        counter = opened(history).counter
        assert int(counter) >= max((step for _, step in acknowledged), default=0)
        entries = everything(history, thread)
        assert {e.message.text for e in entries} == {e.message.text for e in original}
        assert everything(history, fork) == original[:300]
        assert list(history.verify()) == []
        history.recount(opened(history), "quarter", iter(original))
        assert everything(history, thread) == original
        assert remeasured(original, 2) != original
    history.close()


@pytest.mark.parametrize(
    "n_trials",
    [pytest.param(3, id="quick"), pytest.param(40, id="campaign", marks=pytest.mark.slow)],
)
def test_a_killed_upgrade_is_done_by_the_next_process(
    sql_url: str, n_trials: int, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(n_trials)
    for trial in range(n_trials):
        url = sql_url.replace("history.db", f"history-{trial}.db")
        if url.startswith("postgresql"):
            url = request.getfixturevalue("postgres").create(f"upgrade_{n_trials}_{trial}")
        writer = Writer(url, "acme", "open")
        time.sleep(chance.uniform(0, 0.4))
        acknowledged = writer.kill()
        history = SqlHistory(url=url)
        thread = opened(history)
        assert all(thread_id == thread.id for _, thread_id in acknowledged)
        grow(history, thread, "works")
        assert list(history.verify()) == []
        history.close()
