"""A provider's own word on its prompt cache: why a call could not reuse what an earlier one left.

Anthropic sends `diagnostics.cache_miss_reason` where the request named the message before
(`diagnostics.previous_message_id`); OpenAI's Responses send `prompt_cache_diagnostics` where it named
a response to compare with (`prompt_cache_options.comparison_response_id`).
https://platform.claude.com/docs/en/build-with-claude/cache-diagnostics
https://developers.openai.com/api/docs/guides/prompt-caching/diagnostics
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Layer = Literal["settings", "tools", "system", "messages", "unknown", "none"]

_LAYERS: dict[str, Layer] = {
    "model_changed": "settings",
    "prompt_cache_key_changed": "settings",
    "text_format_changed": "settings",
    "reasoning_effort_changed": "settings",
    "verbosity_changed": "settings",
    "service_tier_changed": "settings",
    "tools_changed": "tools",
    "system_changed": "system",
    "messages_changed": "messages",
    "input_changed": "messages",
    "context_compacted": "messages",
    "cache_hit": "none",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the provider said about one call."""

    reason: str
    """In the provider's own words: `tools_changed`, `input_changed`, `cache_hit`, `unavailable`, …"""
    missed_tokens: int | None = None
    """Input tokens that would have been read had nothing changed; None where it does not say."""

    @property
    def is_miss(self) -> bool:
        """Whether the provider names a change that cost the cache."""
        return self.layer not in ("none", "unknown")

    @property
    def layer(self) -> Layer:
        """What changed: a setting of the request, the tools, the system, the messages."""
        return _LAYERS.get(self.reason, "unknown")


def read_verdict(response: Any) -> Verdict | None:
    """The verdict in a response of either provider, as dictionaries; None where there is none."""
    if not isinstance(response, Mapping):
        return None
    fields = cast("Mapping[str, Any]", response)
    openai = fields.get("prompt_cache_diagnostics")
    if isinstance(openai, Mapping):
        found = cast("Mapping[str, Any]", openai)
        return _verdict(found.get("reason") or found.get("type"), found.get("cache_missed_tokens"))
    anthropic = fields.get("diagnostics")
    if isinstance(anthropic, Mapping):
        reason = cast("Mapping[str, Any]", anthropic).get("cache_miss_reason")
        if isinstance(reason, Mapping):
            named = cast("Mapping[str, Any]", reason)
            return _verdict(named.get("type"), named.get("cache_missed_input_tokens"))
        return _verdict(reason, None)
    return None


def _verdict(reason: Any, missed: Any) -> Verdict | None:
    if not isinstance(reason, str) or not reason:
        return None
    is_count = isinstance(missed, int) and not isinstance(missed, bool) and missed >= 0
    return Verdict(reason, missed if is_count else None)
