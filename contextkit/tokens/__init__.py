"""Token counters: exact where the tokenizer is at hand, else an estimate that learns."""

from contextkit.tokens.base import Measure, TokenCounter, add, measure_all, subtract
from contextkit.tokens.choose import counter_for
from contextkit.tokens.estimate import EstimatingCounter
from contextkit.tokens.tiktoken_counter import TiktokenCounter

__all__ = [
    "EstimatingCounter",
    "Measure",
    "TiktokenCounter",
    "TokenCounter",
    "add",
    "counter_for",
    "measure_all",
    "subtract",
]
