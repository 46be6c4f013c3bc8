"""Managers and answers that the adapter tests share."""

from __future__ import annotations

from typing import Any

import contextkit
from contextkit.manager import ContextManager
from contextkit.messages import Message
from tests.fakes.answers import Answer, text_in

WINDOW = 4096
RESERVE = 512


def manager_of(backend: Any, *policies: Any, history: Any = "memory") -> ContextManager:
    return contextkit.load(
        {
            "backend": backend,
            "budget": {"window": WINDOW, "reply_reserve": RESERVE},
            "history": history,
            "policies": policies or ("tool_results", "sliding_window", "cacheable_prefix"),
        }
    )


def agent(body: dict[str, Any]) -> Answer:
    """Calls tools for what a user asks (two at once for every third), then answers at some length."""
    items = body.get("messages") or body["input"]
    last = items[-1]
    results = "tool_result" in str(last) or "call_output" in str(last) or last.get("role") == "tool"
    if results:
        return Answer(f"Concluding from {text_in(last)[:40]}: " + "all is well with it. " * 12)
    asked = text_in(last)
    number = int(asked.split("#")[1].split()[0])
    call = ("look_up", {"topic": f"topic {number}"})
    calls = (
        (call, ("weigh", {"topic": f"topic {number}", "how": "twice"}))
        if number % 3 == 0
        else (call,)
    )
    return Answer("Let me see." if number % 2 else "", calls)


def question(number: int) -> str:
    return f"Question #{number} of many: " + "what should one think of this matter? " * 4


def result(name: str, arguments: str) -> str:
    return f"{name}({arguments}): " + "found something worth reading. " * 20


def said(messages: list[Message]) -> list[tuple[Any, ...]]:
    """What was said, in a form that tests compare."""
    return [
        (m.role, m.text, tuple((c.id, c.name, c.arguments) for c in m.tool_calls)) for m in messages
    ]
