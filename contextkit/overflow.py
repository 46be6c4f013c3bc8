"""Recognising a provider's "too long" among its refusals, and the count that it names.

Wordings of OpenAI, Anthropic, vLLM, SGLang, llama.cpp and Gemini's compatible endpoint; the named
group `input` is the provider's own count of the input tokens. Where a wording names only input and
output together, that sum is taken: it is what was over the window.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # OpenAI; older OpenAI, DeepSeek and vLLM: (N in the messages, M in the completion)
        r"maximum context length.*?messages resulted in (?P<input>\d+) tokens",
        r"you requested \d+ tokens \((?P<input>\d+) in (?:the messages|your prompt)"
        r"(?:, (?P<more>\d+) in the functions)?",
        # vLLM, newer: N output tokens … prompt contains [at least] M input tokens; request has …
        r"(?:prompt contains|request has|you passed)(?: at least)? (?P<input>\d+) input tokens",
        r"prompt \((?:total )?length (?P<input>\d+)\) is (?:longer|too long)",
        # SGLang
        r"the input \((?P<input>\d+) tokens\) is longer than",
        r"you requested a total of \d+(?:\.0)? tokens: (?P<input>\d+) tokens from the input",
        r"input length \((?P<input>\d+) tokens\) exceeds",
        # Anthropic
        r"prompt is too long: (?P<input>\d+) tokens",
        r"input length and `?max_tokens`? exceed context limit: (?P<input>\d+) \+",
        # llama.cpp; Gemini
        r"request \((?P<input>\d+) tokens\) exceeds the available context size",
        r"input token count \((?P<input>\d+)\) exceeds",
        # sums only
        r"however,? you requested (?P<input>\d+) tokens",
    )
)

_PHRASES = re.compile(
    r"maximum context length|prompt is too long|input is too long|exceeds? (?:the |this model's )?"
    r"(?:available )?context (?:window|size|length)|exceed(?:s|ed)? context limit"
    r"|exceeds the maximum allowed (?:input )?length|maximum model length|exceed the configured limit"
    r"|longer than the model's context length",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Overflow:
    """The provider found the request longer than its window."""

    actual_tokens: int | None
    """Its own count of the input, where it names one."""


def overflow_of(error: Exception) -> Overflow | None:
    """What an SDK's error says about a context overflow; None for any other error."""
    if getattr(error, "status_code", None) not in (400, 413, 422):
        return None
    return find_overflow(str(error), getattr(error, "code", None))


def find_overflow(message: str, code: str | None = None) -> Overflow | None:
    """What `message` says about a context overflow; None where it is about something else."""
    for pattern in _PATTERNS:
        if found := pattern.search(message):
            groups = found.groupdict()
            return Overflow(int(groups["input"]) + int(groups.get("more") or 0))
    if code in CODES or _PHRASES.search(message):
        return Overflow(None)
    return None
