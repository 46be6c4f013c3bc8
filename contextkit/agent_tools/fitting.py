"""Texts cut to a number of tokens, at the end of a line or a word."""

from __future__ import annotations

from contextkit.messages import text_message
from contextkit.tokens import TokenCounter

CHARACTERS_A_TOKEN = 8
"""More than nearly any text has, so that the first cut is seldom too short."""


def n_tokens(counter: TokenCounter, text: str) -> int:
    """The upper end of what a text takes as a message."""
    return counter.upper(counter.measure(text_message("user", text)))


def fitted(counter: TokenCounter, text: str, room_tokens: int) -> str:
    """The longest beginning of a text that a few attempts find to fit; the whole of it where it does."""
    kept = text[: room_tokens * CHARACTERS_A_TOKEN]
    while kept and (tokens := n_tokens(counter, kept)) > room_tokens:
        kept = kept[: min(len(kept) - 1, int(len(kept) * 0.95 * room_tokens / tokens))]
    return kept if len(kept) == len(text) else _at_an_end(kept)


def _at_an_end(text: str) -> str:
    for mark in ("\n", " "):
        at = text.rfind(mark, len(text) * 3 // 4)
        if at > 0:
            return text[: at + 1]
    return text
