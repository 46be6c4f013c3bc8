"""Makes entries the way a log does: a message measures a quarter of its length, twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from contextkit.log import Entry, chain_entries
from contextkit.messages import Message, TextPart, ToolCallPart, ToolResultPart, text_message
from contextkit.store import HistoryStore, SeqTaken, StoredView, ThreadRecord
from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory
from contextkit.tokens import Measure

Store: TypeAlias = MemoryHistory | SqlHistory
ZERO: Measure = (0, 0)


def measure(message: Message) -> Measure:
    return (len(message.text) // 4, len(message.text) // 4)


def talk(*texts: str) -> list[Message]:
    return [text_message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]


def after(previous: Entry | None, messages: Sequence[Message]) -> list[Entry]:
    return chain_entries(previous, messages, [measure(m) for m in messages], ZERO)


def remeasured(entries: Sequence[Entry], factor: int) -> list[Entry]:
    """The same log as another counter measures it."""
    messages = [entry.message for entry in entries]
    measures = [tuple(factor * n + 1 for n in entry.measure) for entry in entries]
    return chain_entries(None, messages, measures, ZERO)


def everything(store: HistoryStore, thread: ThreadRecord) -> list[Entry]:
    return store.entries(thread, 0, store.head(thread).n_entries)


def tail(store: HistoryStore, thread: ThreadRecord) -> Entry | None:
    n_entries = store.head(thread).n_entries
    last = store.entries(thread, n_entries - 1, n_entries)
    return last[0] if last else None


def opened(store: HistoryStore, name: str = "t", tenant: str = "acme") -> ThreadRecord:
    thread = store.open_thread(tenant, name, counter="quarter")
    assert thread is not None
    return thread


def grow(store: HistoryStore, thread: ThreadRecord, *texts: str) -> list[Entry]:
    """Appends at the tail, again where another writer was first."""
    while True:
        entries = after(tail(store, thread), talk(*texts))
        try:
            store.append(thread, entries)
        except SeqTaken:
            continue
        return entries


def commit_turn(store: HistoryStore, thread: ThreadRecord, *texts: str) -> int:
    """Commits entries, the next view and a turn; may raise `SeqTaken` or `ViewConflict`."""
    entries = after(tail(store, thread), talk(*texts))
    view = StoredView(store.head(thread).view_version + 1, '{"pieces":[]}')
    return store.commit(thread, entries=entries, view=view, turn='{"ledger":[]}')


def tool_conversation() -> list[Message]:
    """A batch answered, one left open, and a late result: every column has something to keep."""
    call = ToolCallPart("call-1", "gate", '{"flight": "KL 1"}')
    other = ToolCallPart("call-2", "weather", "{}")
    late = ToolCallPart("call-3", "slow", "{}", extra={"index": 0})
    return [
        text_message("system", "Be brief. \u2603 \x00 'quoted' \"twice\" \\ \U0001f6eb"),
        text_message("user", "Which gate, and the weather?"),
        Message("assistant", (TextPart("Looking."), call, other)),
        Message("tool", (ToolResultPart("call-1", "B 12"),)),
        Message("tool", (ToolResultPart("call-2", (TextPart("rain"),), is_error=True),)),
        Message("assistant", (late,), name="agent", extra={"at": 1.5}, shape="list"),
        text_message("user", "Never mind."),
        Message("tool", (ToolResultPart("call-3", "done at last"),)),
        text_message("assistant", "Gate B 12, rain."),
    ]
