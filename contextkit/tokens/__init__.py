"""Token counters: exact where the tokenizer is at hand, otherwise an estimate with an error bar that learns."""

from contextkit.tokens.base import Measure, TokenCounter, add, subtract

__all__ = ["Measure", "TokenCounter", "add", "subtract"]
