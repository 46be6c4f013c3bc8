"""Context windows of well-known models: data with a date, to be overridden by a backend's `window`.

Tokens of input and output together. A name matches the longest row that it starts with, so dated
snapshots (`gpt-4o-2024-11-20`) find their family; a model not listed has an unknown window.
"""

from __future__ import annotations

AS_OF = "2026-10"
"""When the rows were last compared with their sources."""

OPENAI_SOURCE = "https://platform.openai.com/docs/models"
OPENAI: dict[str, int] = {
    "gpt-3.5-turbo": 16_385,
    "gpt-4": 8_192,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 400_000,
    "gpt-5.4": 1_050_000,
    "gpt-5.5": 1_050_000,
    "gpt-5.6": 400_000,  # copies of the model pages disagree (400k to 1.05M): the safe one
    "gpt-oss": 131_072,
    "o1": 200_000,
    "o3": 200_000,
    "o4-mini": 200_000,
    "chatgpt-4o": 128_000,
}

ANTHROPIC_SOURCE = "https://platform.claude.com/docs/en/models"
ANTHROPIC: dict[str, int] = {
    "claude-": 200_000,
    "claude-opus-4-6": 1_000_000,
    "claude-opus-4-7": 1_000_000,
    "claude-opus-4-8": 1_000_000,
    "claude-opus-5": 1_000_000,
    "claude-sonnet-4-6": 1_000_000,
    "claude-sonnet-5": 1_000_000,
    "claude-haiku-5": 1_000_000,
    "claude-fable-5": 1_000_000,
    "claude-mythos-5": 1_000_000,
}


def find_window(rows: dict[str, int], model: str) -> int | None:
    """The window of the longest row that `model` starts with, or None."""
    bare = model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
    matches = [name for name in rows if bare.startswith(name)]
    return rows[max(matches, key=len)] if matches else None
