"""Conversations in OpenAI's or Anthropic's own form: `{"messages": […], "system": …, "tools": […]}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from contextkit.dialects import detect
from contextkit.dialects.usage import anthropic_usage, chat_usage, responses_usage
from contextkit.replay.readers.building import Wire, build, questions, table
from contextkit.replay.recording import Recording
from contextkit.usage import Usage

_COSTS = (("instance_cost", "USD"), ("cost_usd", "USD"), ("total_cost_usd", "USD"),
          ("agent_cost", "USD"), ("cost", ""))  # fmt: skip


def is_own(fields: Wire) -> bool:
    """Whether a value holds a list of messages."""
    return isinstance(fields.get("messages"), list)


def read(fields: Wire, name: str) -> Iterator[Recording]:
    """The recording of one conversation."""
    system = fields.get("system")
    wires: list[Any] = list(fields["messages"])
    if system:
        wires.insert(0, {"role": "system", "content": system})
    facts = table(fields.get("meta"))
    cost, currency = cost_of({**fields, **facts})
    yield build(
        name,
        source_of(wires, facts),
        ((wire, None, usage_of(wire)) for wire in wires),
        tools=fields.get("tools") or (),
        model=str(fields.get("model") or facts.get("model") or ""),
        cost=cost,
        currency=currency,
        questions=questions(fields.get("questions")),
        meta=facts,
    )


def cost_of(facts: Wire) -> tuple[float | None, str]:
    """What a run was billed, and in which currency."""
    for key, currency in _COSTS:
        value = facts.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value), str(currency or facts.get("currency") or "USD").upper()
    return None, str(facts.get("currency") or "USD").upper()


def source_of(wires: list[Any], facts: Wire) -> str:
    """The form that a conversation was written in."""
    if "swe-agent" in str(facts.get("source", "")).lower():
        return "swe_agent"
    dialects = {detect(cast("Wire", wire)) for wire in wires if isinstance(wire, Mapping)}
    return "anthropic" if "anthropic" in dialects else "openai"


def usage_of(wire: Any) -> Usage | None:
    """The usage that stands on an answer; on other messages it is someone else's."""
    fields = table(wire)
    if fields.get("role") != "assistant":
        return None
    return read_usage(table(fields.get("usage")))


def read_usage(usage: Wire) -> Usage | None:
    """Usage in whichever provider's form; None where a count is no whole number."""
    try:
        if "prompt_tokens" in usage:
            return _whole(chat_usage(usage))
        if "input_tokens_details" in usage:
            return _whole(responses_usage(usage))
        if "input_tokens" in usage:
            return _whole(anthropic_usage(usage))
    except (AttributeError, TypeError):
        return None
    return None


def _whole(usage: Usage | None) -> Usage | None:
    counts: list[Any] = [*usage.to_dict().values()] if usage else []
    return usage if all(isinstance(n, int) and n >= 0 for n in counts) else None
