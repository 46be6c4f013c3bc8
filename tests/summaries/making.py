"""Threads to summarise, a counter that counts letters, and ways to summarise that go wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from contextkit.errors import BackendUnavailable
from contextkit.log import chain_entries
from contextkit.messages import Message, text_message
from contextkit.store import HistoryStore, ThreadRecord
from contextkit.summaries.build import Builder, Extractive
from contextkit.summaries.values import Made, Shape, Summarizer, Task
from contextkit.summary import Summary
from contextkit.tokens import Measure
from contextkit.tools import Tool

SHAPE = Shape(fan_out=3, levels=3, target_tokens=60)


class Letters:
    """Four letters are a token."""

    name = "letters"
    exact = True
    zero: Measure = (0,)

    def measure(self, message: Message) -> Measure:
        calls = sum(len(call.arguments) for call in message.tool_calls)
        return (4 + (len(message.text) + calls) // 4,)

    def measure_frame(self, tools: Sequence[Tool]) -> Measure:
        return (3,)

    def tokens(self, measure: Measure) -> int:
        return measure[0]

    def upper(self, measure: Measure) -> int:
        return measure[0]

    def observe(self, measure: Measure, actual_tokens: int) -> None:
        """Nothing is learned."""

    def state(self) -> str:
        return ""

    def restore(self, state: str) -> None:
        """Nothing was learned."""


class Way:
    """Answers every task with what `text` makes of it."""

    kind: ClassVar[str] = "model"

    def __init__(self, text: str = "", *, fails: bool = False, seconds: float = 0) -> None:
        self.text, self.fails, self.seconds = text, fails, seconds

    def summarize(self, task: Task) -> Made:
        time.sleep(self.seconds)
        if self.fails:
            raise BackendUnavailable("the model is down")
        return Made(self.text, "model", "prompt", "m")


def talk(n: int) -> list[Message]:
    messages: list[Message] = []
    for k in range(n):
        asked = f"Please remember that item {k * 7} of my list is kept in room R{k} since 2024."
        messages += [
            text_message("user", asked),
            text_message("assistant", f"Noted, item {k * 7}."),
        ]
    return messages


def said(store: HistoryStore, messages: Sequence[Message], tenant: str = "acme") -> ThreadRecord:
    """A thread with these messages behind what it has."""
    counter = Letters()
    record = store.open_thread(tenant, "t", counter=counter.name)
    assert record is not None
    n = store.head(record).n_entries
    last = store.entries(record, n - 1, n)
    measures = [counter.measure(message) for message in messages]
    previous = last[0] if last else None
    store.append(record, chain_entries(previous, messages, measures, counter.zero))
    return record


def builder(store: HistoryStore, record: ThreadRecord, *ways: Summarizer) -> Builder:
    return Builder(store, record, Letters(), SHAPE, ways or (Extractive(),))


def check_chain(store: HistoryStore, record: ThreadRecord) -> list[Summary]:
    """The summaries in force are a chain without gaps over what was there to be covered."""
    cover = store.cover(record)
    assert [each.start for each in cover[1:]] == [each.stop for each in cover[:-1]]
    assert all(each.start < each.stop for each in cover)
    levels = [each.level for each in cover]
    assert levels == sorted(levels, reverse=True)
    assert not cover or cover[-1].stop <= store.head(record).n_entries
    assert list(store.verify(record.tenant)) == []
    return cover
