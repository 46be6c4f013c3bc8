"""What stands on the spans: names, counts and kinds of errors, never what was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from contextkit.backend import Reply
from contextkit.ledger import Ledger

Attributes = dict[str, AttributeValue]


def failed(span: Span, error: BaseException) -> Attributes:
    """The error on the span, and what the metrics say of it.

    Its words stay here: a provider's refusal may repeat what was said.
    """
    about: Attributes = {"error.type": type(error).__qualname__}
    span.set_attributes(about)
    span.set_status(Status(StatusCode.ERROR))
    return about


def of_assembly(ledger: Ledger) -> Attributes:
    """An assembled call in figures."""
    prefix = ledger.prefix
    out: Attributes = {
        "contextkit.window_tokens": ledger.window,
        "contextkit.limit_tokens": ledger.limit_tokens,
        "contextkit.input_tokens": ledger.input_tokens,
        "contextkit.upper_tokens": ledger.upper_tokens,
        "contextkit.pieces": len(ledger.decisions),
        "contextkit.freed_tokens": sum(d.tokens_before - d.tokens_after for d in ledger.left_out),
        "contextkit.expected_read_tokens": ledger.forecast.read_tokens,
        "contextkit.prefix.shared_tokens": prefix.shared_tokens,
        "contextkit.prefix.moved": prefix.moved,
    }
    if prefix.moved:
        out["contextkit.prefix.moved_by"] = prefix.policy or "assembly"
        out["contextkit.prefix.rewritten_tokens"] = prefix.rewritten_tokens
    return out


def of_reply(reply: Reply) -> Attributes:
    """What a provider said of its answer."""
    out: Attributes = {}
    if reply.finish_reason:
        out["gen_ai.response.finish_reasons"] = [reply.finish_reason]
    for name in ("id", "model"):
        value = _field(reply.raw, name)
        if isinstance(value, str):
            out[f"gen_ai.response.{name}"] = value
    usage = reply.usage
    if usage is not None:
        out["gen_ai.usage.input_tokens"] = usage.input_tokens
        out["gen_ai.usage.output_tokens"] = usage.output_tokens
        out["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read_tokens
        out["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
        if usage.reasoning_tokens:
            out["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    return out


def _field(raw: Any, name: str) -> Any:
    """A field of a provider's answer, be it an SDK's object or plain JSON."""
    if isinstance(raw, Mapping):
        return cast("Mapping[str, Any]", raw).get(name)
    return getattr(raw, name, None)
