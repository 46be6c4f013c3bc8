"""Several texts compressed at once: what they ask of a scorer is asked together.

A method that asks a scorer is written as a plan: a generator that yields its questions, is sent their
answers, and returns what it made. It knows nothing of other texts; `compress_many` advances the plans of
all of them side by side, so that a model reads in one pass what it would have read in many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from contextkit.compression.base import Compressed, Compresses, Count
from contextkit.compression.scoring import Asked, Scorer

T = TypeVar("T")
Asking: TypeAlias = Generator[Sequence[Asked], list[list[float]], T]
"""Asks a scorer, is sent the bits of all units that it asked about, and returns a `T`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A text to compress; what `Compresses.compress` is told."""

    text: str
    target_tokens: int
    count: Count
    question: str = ""
    handle: str = ""


@runtime_checkable
class Planned(Protocol):
    """A method whose questions can be asked together with those of other texts."""

    @property
    def scorer(self) -> Scorer:
        """Who is asked."""
        ...

    def plan(self, task: Task) -> Asking[Compressed]:
        """Asks for scores and returns what `compress` does. Raises `ProtectedMass`."""
        ...


def compress_many(method: Compresses, tasks: Sequence[Task]) -> list[Compressed]:
    """Every text as `method.compress` tells it. Raises what the first text to fail raises."""
    if isinstance(method, Planned):
        return in_step(method.scorer, [method.plan(task) for task in tasks])
    return [
        method.compress(t.text, t.target_tokens, t.count, question=t.question, handle=t.handle)
        for t in tasks
    ]


def in_step(scorer: Scorer, plans: Sequence[Asking[T]]) -> list[T]:
    """What the plans return, as many of them side by side as the scorer says is worth it."""
    found: dict[int, T] = {}
    asking: dict[int, Sequence[Asked]] = {}
    waiting = deque(range(len(plans)))

    def advance(number: int, answers: list[list[float]] | None = None) -> None:
        plan = plans[number]
        try:
            asking[number] = next(plan) if answers is None else plan.send(answers)
        except StopIteration as end:
            found[number] = end.value

    try:
        while waiting or asking:
            while waiting and len(asking) < scorer.at_once:
                advance(waiting.popleft())
            now = {**asking}
            asking.clear()
            bits = iter(scorer.score_many([each for asked in now.values() for each in asked]))
            for number, asked in now.items():
                advance(number, [*islice(bits, len(asked))])
    finally:
        for plan in plans:
            plan.close()
    return [found[number] for number in range(len(plans))]
