"""The contract of token counters: a message has a *measure*, measures add, each has its tokens.

A measure is a short tuple of whole numbers that belongs to its counter: `(tokens, upper)` where the
tokenizer is at hand, bytes by content class where it is not. Because measures add, the log stores
their running sums and the tokens of any range are two look-ups; because tokens are computed from a
measure at the end, a counter may learn better rates without recounting history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from contextkit.messages import Message
from contextkit.tools import Tool

Measure: TypeAlias = tuple[int, ...]


class TokenCounter(Protocol):
    """Counts the way the provider counts, or says that it estimates."""

    @property
    def name(self) -> str:
        """What the measures are stored under; another name means another count of the log."""
        ...

    @property
    def exact(self) -> bool:
        """True where `tokens` is what the model's own tokenizer yields."""
        ...

    @property
    def zero(self) -> Measure:
        """The measure of nothing."""
        ...

    def measure(self, message: Message) -> Measure:
        """One message with all that the template puts around it."""
        ...

    def measure_frame(self, tools: Sequence[Tool]) -> Measure:
        """What a call costs beside its messages: tool schemas, template, reply priming."""
        ...

    def tokens(self, measure: Measure) -> int:
        """The best estimate; the count itself where `exact`."""
        ...

    def upper(self, measure: Measure) -> int:
        """The upper end of the error bar, never below `tokens`; budgets are kept against it."""
        ...

    def observe(self, measure: Measure, actual_tokens: int) -> None:
        """Learn from a provider's own count of a call whose whole measure this is."""
        ...

    def state(self) -> str:
        """What was learned, as JSON, to be stored; empty where nothing is ever learned."""
        ...

    def restore(self, state: str) -> None:
        """Take back what `state` gave."""
        ...


def add(left: Measure, right: Measure) -> Measure:
    """The measure of both together."""
    if len(left) == 2:
        return left[0] + right[0], left[1] + right[1]
    return tuple(a + b for a, b in zip(left, right, strict=True))


def subtract(left: Measure, right: Measure) -> Measure:
    """The measure of `left` without `right`."""
    if len(left) == 2:
        return left[0] - right[0], left[1] - right[1]
    return tuple(a - b for a, b in zip(left, right, strict=True))


def measure_all(counter: TokenCounter, messages: Sequence[Message]) -> Measure:
    """The measure of several messages together."""
    total = counter.zero
    for message in messages:
        total = add(total, counter.measure(message))
    return total
