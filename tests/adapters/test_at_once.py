"""Answers to one question that are recorded at the same moment: each is a conversation of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contextkit.adapters._conversations import Begun, Conversations
from contextkit.backend import Reply
from contextkit.errors import ViewConflict
from contextkit.messages import text_message
from tests.adapters.scenario import made

AT_ONCE = 4


@pytest.fixture
def _switching() -> Iterator[None]:
    """Threads take turns at every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switching")
@pytest.mark.parametrize("n_processes", [1, 2])
def test_answers_at_once_never_share_a_log(n_processes: int, tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/at_once.db"}
    managers = [made(history=history) for _ in range(n_processes)]
    sides = [Conversations(manager, None, "t") for manager in managers]
    for number in range(25):
        question = [text_message("user", f"question {number}")]
        begun = [sides[n % n_processes].begin(question, ()) for n in range(AT_ONCE)]
        together = threading.Barrier(AT_ONCE)

        def finish(
            n: int, begun: list[Begun] = begun, together: threading.Barrier = together
        ) -> None:
            reply = Reply.of(f"answer {n}")
            together.wait()
            sides[n % n_processes].finish(begun[n], lambda: reply)

        threads = [threading.Thread(target=finish, args=(n,)) for n in range(AT_ONCE)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    logs = [
        [message.text for message in managers[0].thread(each.name, tenant="t").history()]
        for each in managers[0].threads("t")
    ]
    expected = [[f"question {q}", f"answer {n}"] for q in range(25) for n in range(AT_ONCE)]
    assert sorted(logs) == sorted(expected)
    for manager in managers:
        assert manager.verify() == []
        manager.close()


def test_only_next_stores_nothing_behind_others(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/next.db"}
    with made(history=history) as one, made(history=history) as other:
        thread = one.thread("t")
        call = thread.assemble("Which gate?")
        other.thread("t").append([text_message("user", "Late?"), text_message("assistant", "No.")])
        with pytest.raises(ViewConflict, match="someone else went on"):
            thread.record(call, "Gate twelve.", only_next=True)
        assert [message.text for message in thread.history()] == ["Late?", "No."]
        thread.record(call, "Gate twelve.")
        assert len(thread) == 4
