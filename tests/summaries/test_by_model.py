"""Asked behind the very call before, so that its cache is read; never longer than granted; paid once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from contextkit.backend import Reply
from contextkit.call import Call
from contextkit.errors import BackendUnavailable
from contextkit.manager import ContextManager, load
from contextkit.memo import Memo
from contextkit.stores.memory import MemoryHistory
from contextkit.summaries.by_model import ByModel, Parent
from contextkit.summaries.said import Said
from contextkit.summaries.values import SummaryRefused, Task
from contextkit_backends.scripted import ScriptedBackend

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def count(text: str) -> int:
    return len(text) // 4


def task(*texts: str, level: int = 1, target: int = 40) -> Task:
    lines = tuple(Said(n, "user", text) for n, text in enumerate(texts))
    return Task(0, len(lines), level, lines, sum(map(count, texts)), target, count)


def asked(
    *replies: Any, window: int = 4000, timeout_s: float = 20
) -> tuple[ScriptedBackend, ByModel]:
    backend = ScriptedBackend(replies=replies)
    return backend, ByModel(backend, Memo(MemoryHistory(), "acme"), window, timeout_s)


LONG = [f"The box {n} with the red lid stands in room R{n} of the house." for n in range(30)]


def test_alone_it_quotes_what_is_to_be_told_and_asks_once() -> None:
    backend, way = asked("Boxes with red lids stand in rooms.")
    made = way.summarize(task(*LONG))
    assert (made.text, made.method, made.model) == (
        "Boxes with red lids stand in rooms.",
        "model",
        "scripted",
    )
    assert len(made.prompt) == 64
    assert way.summarize(task(*LONG)) == made
    (call,) = backend.calls
    assert all(f"m{n} user: {text}" in call.messages[0].text for n, text in enumerate(LONG))
    assert call.max_output_tokens == 80
    assert call.input_tokens + call.max_output_tokens <= 4000


def test_nothing_is_asked_where_nothing_is_to_be_gained() -> None:
    backend, way = asked("never said")
    with pytest.raises(SummaryRefused, match="no gain"):
        way.summarize(task("short", "too"))
    assert backend.calls == ()


def test_a_source_that_no_window_holds_is_refused_before_it_is_sent() -> None:
    backend, way = asked("never said", window=600)
    with pytest.raises(SummaryRefused, match="too long for the model"):
        way.summarize(task("word " * 250_000))
    assert backend.calls == ()


def test_it_waits_no_longer_than_granted() -> None:
    def slow(call: Call) -> str:
        time.sleep(1.5)
        return "too late"

    _, way = asked(slow, timeout_s=0.05)
    with pytest.raises(BackendUnavailable, match=r"no summary within 0\.05 s"):
        way.summarize(task(*LONG))


def test_what_the_backend_raises_is_told() -> None:
    _, way = asked({"error": "unavailable"})
    with pytest.raises(BackendUnavailable):
        way.summarize(task(*LONG))


def talked(**fields: Any) -> ContextManager:
    """A thread of three turns whose model also answers requests for summaries."""

    def answer(call: Call) -> str:
        text = call.messages[-1].text
        return (
            "The boxes stand in rooms." if text.startswith("Write down") else f"Seen: {text[:20]}"
        )

    config: dict[str, Any] = {
        "backend": {"kind": "scripted", "replies": answer},
        "budget": {"window": 6000, "reply_reserve": 500},
        "policies": ["cacheable_prefix"],
    }
    return load({**config, **fields})


def test_behind_the_call_before_every_byte_of_it_is_sent_again() -> None:
    with talked() as cm:
        thread = cm.thread("t")
        for text in LONG[:3]:
            thread.respond(text * 4, tools=TOOLS)
        backend: Any = cm.backend
        before: Call = backend.calls[-1]
        parent = Parent.of(thread.last_call, thread.history()[-1]) if thread.last_call else None
        assert parent is not None
        assert parent.shown == ((0, 5),)
        way = ByModel(backend, Memo(cm.history, "default"), 6000, 20, parent)
        told = way.summarize(task(LONG[0] * 4, "Seen: The box 0", LONG[1] * 4))
        assert told.text == "The boxes stand in rooms."
        call: Call = backend.calls[-1]
        n = len(before.messages)
        assert call.messages[:n] == before.messages
        assert call.tools == before.tools
        assert call.to_openai()["messages"][:n] == before.to_openai()["messages"]
        assert [m.role for m in call.messages[n:]] == ["assistant", "user"]
        assert f"“{(LONG[0] * 4)[:40]}" in call.messages[-1].text


def test_cache_points_stand_where_the_call_before_had_them() -> None:
    backend = {
        "kind": "scripted", "replies": ["a", "b", "told"], "provider": "anthropic",
        "model": "claude-sonnet-4-5", "dialect": "anthropic", "context_window": 200_000,
    }  # fmt: skip
    with talked(backend=backend, budget={"window": 100_000}) as cm:
        thread = cm.thread("t")
        for text in LONG[:2]:
            thread.respond(text * 200, tools=TOOLS)
        assert thread.last_call is not None
        parent = Parent.of(thread.last_call, thread.history()[-1])
        ByModel(cm.backend, Memo(cm.history, "default"), 100_000, 20, parent).summarize(
            task(LONG[0] * 200)
        )
        backend_calls: tuple[Call, ...] = getattr(cm.backend, "calls", ())
        *_, before, last = backend_calls
        assert last.cache_points == before.cache_points != ()
        sent, again = before.to_anthropic(), last.to_anthropic()
        assert again["tools"] == sent["tools"]
        assert again["messages"][: len(sent["messages"])] == sent["messages"]


def test_behind_open_tool_calls_nothing_is_asked() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    replies = [Reply.of("x"), {"content": None, "tool_calls": [call]}]
    with talked(backend={"kind": "scripted", "replies": replies}) as cm:
        thread = cm.thread("t")
        thread.respond("one")
        thread.respond("two", tools=TOOLS)
        assert thread.last_call is not None
        assert Parent.of(thread.last_call, thread.history()[-1]) is None
        assert Parent.of(thread.last_call) is not None
