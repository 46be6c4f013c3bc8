"""Context windows of well-known models: data with a date, to be overridden by a backend's `window`.

Tokens of input and output together, and what the input may take where that is less. A name matches the
longest row that it starts with, so dated snapshots (`gpt-4o-2024-11-20`) find their family; a model not
listed has an unknown window.

Read as stored copies of the vendors' pages (July to November 2026) and checked against the tables of
LiteLLM 1.109.1 (input and output apart) and genai-prices 0.2.3; a row that stands in one place only
says in which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

AS_OF = "2026-11"
"""When the rows were last compared with their sources."""

OPENAI_SOURCE = "https://developers.openai.com/api/docs/models"
OPENAI: dict[str, int] = {
    "gpt-3.5-turbo": 16_385,
    "gpt-4": 8_192,
    "gpt-4-0125": 128_000,
    "gpt-4-1106": 128_000,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 400_000,
    "gpt-5-chat": 128_000,
    "gpt-5.1-chat": 128_000,
    "gpt-5.2-chat": 128_000,
    "gpt-5.3-chat": 128_000,
    "gpt-5.4": 1_050_000,
    "gpt-5.4-mini": 400_000,
    "gpt-5.4-nano": 400_000,
    "gpt-5.5": 1_050_000,
    "gpt-5.6": 1_050_000,  # an older copy of the model page says 400k
    "gpt-5.6-cyber": 400_000,  # LiteLLM
    "gpt-6-astra": 1_050_000,
    "gpt-6-luna": 1_050_000,
    "gpt-6-sol": 1_050_000,
    "gpt-6.1-sol": 1_050_000,
    "gpt-6.1-terra": 1_050_000,
    "gpt-6.2-astra": 1_050_000,  # https://vercel.com/ai-gateway/models/gpt-6.2-astra
    "gpt-6.2-sol": 1_050_000,  # https://vercel.com/ai-gateway/models/gpt-6.2-sol
    "gpt-audio": 128_000,
    "gpt-oss": 131_072,
    "o1": 200_000,
    "o1-mini": 128_000,
    "o1-preview": 128_000,
    "o3": 200_000,
    "o4-mini": 200_000,
    "chatgpt-4o": 128_000,
    "codex-mini": 200_000,
}

OPENAI_INPUT_SOURCE = "https://openai.com/index/introducing-gpt-5-for-developers"
OPENAI_INPUT: dict[str, int | None] = {
    # The reply has 128k of the window to itself. The source says so of gpt-5, and the API refuses more
    # ("Input tokens exceed the configured limit of 272000 tokens"); the others as LiteLLM 1.109.1 has them.
    "gpt-5": 272_000,
    "gpt-5-pro": None,  # LiteLLM: 400k of input beside 272k of output, which cannot both be
    "gpt-5.1": 272_000,
    "gpt-5.2": 272_000,
    "gpt-5.3": 272_000,
    "gpt-5.4": 922_000,  # LiteLLM has the whole window; 128k of it are the output's as in gpt-5.6
    "gpt-5.4-mini": 272_000,
    "gpt-5.4-nano": 272_000,
    "gpt-5.5": 922_000,  # as gpt-5.4
    "gpt-5.6": 922_000,
    "gpt-5.6-cyber": None,  # LiteLLM has the whole window
    "gpt-6": 922_000,
}
"""What the input may take, where it is less than the window; None: nothing less is known."""

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
    "claude-mythos-preview": 1_000_000,  # LiteLLM
}

GEMINI_SOURCE = "https://ai.google.dev/gemini-api/docs/models"
GEMINI: dict[str, int] = {  # the limit of the input; the output has one of its own beside it
    "gemini-2.5-flash": 1_048_576,
    "gemini-2.5-pro": 1_048_576,
    "gemini-3-flash": 1_048_576,
    "gemini-3-pro": 1_048_576,
    "gemini-3.1-flash-lite": 1_048_576,  # LiteLLM
    "gemini-3.1-pro": 1_048_576,
    "gemini-3.5-flash": 1_048_576,
    "gemini-3.6-flash": 1_048_576,  # LiteLLM
    "gemini-3.7-flash": 1_048_576,  # LiteLLM
    "gemini-3.8-flash": 1_048_576,
    "gemini-4-argon": 1_048_576,  # LiteLLM
}

COMPATIBLE: dict[str, int] = {**OPENAI, **ANTHROPIC, **GEMINI}
"""Models that are asked in OpenAI's form: its own, and others' at gateways and compatible addresses."""


def find_max_input(model: str) -> int | None:
    """What a model takes of input, where that is known to be less than its window."""
    most, window = _find(OPENAI_INPUT, model), find_window(OPENAI, model)
    return most if most is not None and window is not None and most < window else None


def find_window(rows: dict[str, int], model: str) -> int | None:
    """The window of the longest row that `model` starts with, or None."""
    return _find(rows, model)


def _find(rows: Mapping[str, T], model: str) -> T | None:
    bare = model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
    if bare.startswith("claude-"):
        bare = bare.replace(".", "-")  # as gateways spell it
    matches = [name for name in rows if bare.startswith(name)]
    return rows[max(matches, key=len)] if matches else None
