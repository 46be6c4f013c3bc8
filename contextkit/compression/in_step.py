"""Several texts compressed at once: what they ask of a scorer is asked together.

A method that asks a scorer is written as a plan: a generator that yields its questions, is sent their
answers, and returns what it made. It knows nothing of other texts; `compress_many` advances the plans of
all of them side by side, so that a model reads in one pass what it would have read in many.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from contextkit.compression.base import Compressed, Compresses, Count
from contextkit.compression.scoring import Asked, Begins, Scorer

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
    if not plans:
        return []
    driver = _Driver(scorer, plans)
    try:
        return driver.run()
    finally:
        for plan in plans:
            plan.close()


Questions: TypeAlias = dict[int, Sequence[Asked]]


class _Driver(Generic[T]):
    """Plans on their way: some wait, some have questions, those of others are being answered."""

    def __init__(self, scorer: Scorer, plans: Sequence[Asking[T]]) -> None:
        self._plans = plans
        self._begin = scorer.begin if isinstance(scorer, Begins) else _at_once(scorer)
        self._most = scorer.at_once
        self._enough = scorer.enough if isinstance(scorer, Begins) else sys.maxsize
        self._waiting = deque(range(len(plans)))
        self._asking: Questions = {}
        self._answering: deque[tuple[Questions, Callable[[], list[list[float]]]]] = deque()
        self._n_open = self._n_characters = 0
        self._found: dict[int, T] = {}

    def run(self) -> list[T]:
        """Works on text for as long as there is any that hangs on no answer; then awaits answers."""
        while self._waiting or self._n_open:
            while self._waiting and self._n_open < self._most:
                self._n_open += 1
                self._advance(self._waiting.popleft())
            if not self._answering:
                self._ask()
            if self._answering:
                asked, answers = self._answering.popleft()
                bits = iter(answers())
                for number, questions in asked.items():
                    self._advance(number, [*islice(bits, len(questions))])
        return [self._found[number] for number in range(len(self._plans))]

    def _advance(self, number: int, answers: list[list[float]] | None = None) -> None:
        plan = self._plans[number]
        try:
            asked = next(plan) if answers is None else plan.send(answers)
        except StopIteration as end:
            self._found[number] = end.value
            self._n_open -= 1
            return
        self._asking[number] = asked
        self._n_characters += sum(len(each.text) for each in asked)
        if self._n_characters >= self._enough:
            self._ask()

    def _ask(self) -> None:
        if self._asking:
            asked, self._asking, self._n_characters = self._asking, {}, 0
            every = [each for questions in asked.values() for each in questions]
            self._answering.append((asked, self._begin(every)))


def _at_once(scorer: Scorer) -> Callable[[Sequence[Asked]], Callable[[], list[list[float]]]]:
    """Asks a scorer that answers before it returns."""

    def begin(asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        bits = scorer.score_many(asked)
        return lambda: bits

    return begin
