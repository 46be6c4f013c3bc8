"""Usage as each provider reports it, read into the one inclusive `Usage`.

OpenAI's `prompt_tokens` and `input_tokens` include what came from the cache; Anthropic's
`input_tokens` is what remains after cache reads and writes, so those are added.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.usage import Usage


def chat_usage(value: Mapping[str, Any] | None) -> Usage | None:
    """Of an OpenAI chat completion, or of a server that speaks its form."""
    if not value:
        return None
    prompt = inner(value, "prompt_tokens_details")
    completion = inner(value, "completion_tokens_details")
    return Usage(
        input_tokens=_count(value, "prompt_tokens"),
        output_tokens=_count(value, "completion_tokens"),
        cache_read_tokens=_count(prompt, "cached_tokens")
        or _count(value, "prompt_cache_hit_tokens"),  # DeepSeek's own field
        cache_write_tokens=_count(prompt, "cache_write_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
    )


def responses_usage(value: Mapping[str, Any] | None) -> Usage | None:
    """Of an OpenAI Responses object."""
    if not value:
        return None
    given = inner(value, "input_tokens_details")
    return Usage(
        input_tokens=_count(value, "input_tokens"),
        output_tokens=_count(value, "output_tokens"),
        cache_read_tokens=_count(given, "cached_tokens"),
        cache_write_tokens=_count(given, "cache_write_tokens"),
        reasoning_tokens=_count(inner(value, "output_tokens_details"), "reasoning_tokens"),
    )


def anthropic_usage(value: Mapping[str, Any] | None) -> Usage | None:
    """Of an Anthropic message."""
    if not value:
        return None
    read = _count(value, "cache_read_input_tokens")
    written = _count(value, "cache_creation_input_tokens")
    return Usage(
        input_tokens=_count(value, "input_tokens") + read + written,
        output_tokens=_count(value, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(inner(value, "output_tokens_details"), "thinking_tokens"),
    )


def inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object in a field, or an empty one where the field is missing or null."""
    found: Mapping[str, Any] | None = value.get(name)
    return found or {}


def _count(value: Mapping[str, Any], name: str) -> int:
    found: int | None = value.get(name)
    return found or 0
