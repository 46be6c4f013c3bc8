"""A recording played into a store is a thread like any other."""

from __future__ import annotations

import contextkit
from contextkit.dialects import parse_messages
from contextkit.replay.playing import play

from .making import conversation, recording


def test_every_recorded_call_becomes_a_turn() -> None:
    messages = parse_messages(conversation(2, n_calls=8))
    run = recording({"id": "r", "messages": conversation(2, n_calls=8)})
    with contextkit.load({"budget": {"window": 2500, "reply_reserve": 100}}) as manager:
        thread = manager.thread("played")
        ledgers = list(play(thread, messages))
        assert [message.digest for message in thread.history()] == [m.digest for m in messages]
        assert [ledger.turn for ledger in ledgers] == list(range(1, len(run.calls) + 1))
        assert ledgers == thread.turns()


def test_a_greeting_and_a_second_answer_are_nobodys_call() -> None:
    said = [
        ("assistant", "Hello."),
        ("user", "Which gate?"),
        ("assistant", "Twelve."),
        ("assistant", "B12."),
    ]
    messages = parse_messages([{"role": role, "content": text} for role, text in said])
    with contextkit.load({}) as manager:
        thread = manager.thread("greeted")
        assert len(list(play(thread, messages))) == 1
        assert len(thread) == 4
