"""A call: the sealed draft, immutable, ready for any provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from contextkit.messages import Message
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.ledger import Ledger


@dataclass(frozen=True, slots=True)
class CachePoint:
    """Where a provider is asked to remember the prefix.

    `after` is the number of messages before the point; 0 stands for the end of the tools.
    """

    after: int
    ttl: Literal["5m", "1h"] = "5m"
    why: str = ""


@dataclass(frozen=True)
class Call:
    """What one model call will send, and why; made by `Thread.assemble`, never by hand."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    input_tokens: int
    """Messages, tools and template, counted the way the provider counts (or best estimate)."""
    upper_tokens: int
    """Upper end of the error bar; equal to `input_tokens` where the count is exact."""
    max_output_tokens: int
    """The reply reserve of the budget."""
    cache_points: tuple[CachePoint, ...]
    fingerprint: str
    """SHA-256 (hex) over tools and messages as sent: equal fingerprints are equal bytes."""
    ledger: Ledger = field(compare=False)
    plan: Any = field(default=None, compare=False, repr=False)
    """What `Thread.record` commits; private to the manager."""
    tenant: str = field(default="", compare=False)
    """Whose thread it was made from; caches are never shared across tenants."""

    def __repr__(self) -> str:
        reach = f"{len(self.messages)} messages, {self.input_tokens:,} tokens"
        return f"Call({reach}, {self.fingerprint[:12]})"

    def to_openai(self) -> dict[str, Any]:
        """The `messages` and `tools` of an OpenAI chat completion request."""
        from contextkit.dialects import openai

        return openai.request(self.messages, self.tools)

    def to_responses(self) -> dict[str, Any]:
        """The `input` and `tools` of an OpenAI Responses request."""
        from contextkit.dialects import responses

        return responses.request(self.messages, self.tools)

    def to_anthropic(self) -> dict[str, Any]:
        """The `system`, `messages` and `tools` of an Anthropic request, cache points set."""
        from contextkit.dialects import anthropic

        return anthropic.request(self.messages, self.tools, self.cache_points)

    def to_text(self) -> str:
        """What the model would read, one message after another."""
        from contextkit.dialects import text

        return text.render(self.messages)

    def to_dict(self) -> Mapping[str, Any]:
        """The OpenAI form, the counts and the ledger, as JSON values."""
        return {
            **self.to_openai(),
            "input_tokens": self.input_tokens,
            "upper_tokens": self.upper_tokens,
            "fingerprint": self.fingerprint,
            "ledger": self.ledger.to_dict(),
        }
