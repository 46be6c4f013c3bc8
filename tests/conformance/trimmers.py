"""Trimmers with one fault each, and what they are made of."""

from __future__ import annotations

from typing import Any

from contextkit.testing import Count

Wire = dict[str, Any]


def whole(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """Leaves everything as it is."""
    return messages


def tail(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """As much of the end as fits, wherever that cuts."""
    kept = list(messages)
    while len(kept) > 1 and count(kept) > budget_tokens:
        kept.pop(0)
    return kept


def empty(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    return []


def without_system(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    return [m for m in messages if m["role"] != "system"]


def without_request(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """The newest request in other words."""
    newest = max(i for i, m in enumerate(messages) if m["role"] == "user")
    reworded = {"role": "user", "content": "in short, please"}
    return [reworded if i == newest else m for i, m in enumerate(messages)]


def doubled(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """The newest request a second time, at the end."""
    newest = [m for m in messages if m["role"] == "user"][-1]
    return [*messages, newest]


def reordered(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """The first user message behind everything else."""
    first = next(m for m in messages if m["role"] == "user")
    return [*(m for m in messages if m is not first), first]


def mutating(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    """Writes into the messages of its caller."""
    messages[0]["content"] = f"{messages[0]['content']} "
    return messages


class Counting:
    """Another answer each time."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        self.n += 1
        return [*messages[:-1], {**messages[-1], "content": f"{self.n}"}]


def raising(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    raise RuntimeError("no idea")


def nothing(messages: list[Wire], budget_tokens: int, count: Count) -> Any:
    return None


not_a_function = 17
