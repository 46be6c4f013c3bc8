"""Pydantic AI's harness: two of its compactions, run as its users run them between requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.peers.base import (
    Origins,
    Peer,
    apart,
    batches,
    encoder,
    load,
    text_of,
    wait,
)


def _native(messages: list[Wire]) -> list[Any]:
    """Pydantic AI's messages: the results of a batch are one request, a response holds text and calls."""
    kinds: Any = load("pydantic_ai.messages")
    made: list[Any] = []
    for batch in batches(messages):
        first = batch[0]
        match first["role"]:
            case "tool":
                parts = [
                    kinds.ToolReturnPart("tool", m["content"], tool_call_id=m["tool_call_id"])
                    for m in batch
                ]
                made.append(kinds.ModelRequest(parts=parts))
            case "assistant":
                parts = [kinds.TextPart(text_of(first))] if text_of(first) else []
                parts += [
                    kinds.ToolCallPart(
                        c["function"]["name"], c["function"]["arguments"], tool_call_id=c["id"]
                    )
                    for c in first.get("tool_calls", ())
                ]
                made.append(kinds.ModelResponse(parts=parts))
            case _:
                made.append(kinds.ModelRequest(parts=[kinds.UserPromptPart(text_of(first))]))
    return made


def _key(wire: Wire) -> str:
    return json.dumps(wire, sort_keys=True)


def _back(natives: list[Any], origins: Origins) -> list[Wire]:
    out: list[Wire] = []
    for native in natives:
        wires = _wires(native)
        for wire in wires:
            out += origins.back(_key(wire), wire, lambda made: [made])
    return out


def _wires(native: Any) -> list[Wire]:
    """What is said by one of its messages, in OpenAI's form."""
    out: list[Wire] = []
    said: list[str] = []
    calls: list[Wire] = []
    for part in native.parts:
        match part.part_kind:
            case "tool-return":
                text = str(part.content)
                out.append({"role": "tool", "tool_call_id": part.tool_call_id, "content": text})
            case "tool-call":
                body = {"name": part.tool_name, "arguments": part.args}
                calls.append({"id": part.tool_call_id, "type": "function", "function": body})
            case "text":
                said.append(part.content)
            case _:
                out.append({"role": "user", "content": part.content})
    if native.kind == "response":
        message: Wire = {"role": "assistant", "content": "\n".join(said) or None}
        out.append({**message, "tool_calls": calls} if calls else message)
    return out


def _compacted(strategy_of: Callable[[Any, int], Any]) -> Any:
    def trim(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        opening, rest, room = apart(messages, budget_tokens, count)
        if count(rest) <= room:
            return messages
        origins = Origins()
        natives = _native(rest)
        for native, batch in zip(natives, batches(rest), strict=True):
            for wire, own in zip(batch, _wires(native), strict=True):
                origins.put(_key(own), wire)
        compaction: Any = load("pydantic_ai_harness.compaction")
        model: Any = load("pydantic_ai.models.test").TestModel()
        strategy = strategy_of(compaction, room)
        kept = wait(compaction.compact_now(strategy, natives, model=model))
        return [*opening, *_back(kept, origins)]

    return trim


def _peer(name: str, about: str, strategy_of: Callable[[Any, int], Any]) -> Peer:
    trim = _compacted(strategy_of)
    package = "pydantic-ai-harness"
    return Peer(f"pydantic-{name}", package, "pydantic_ai_harness", lambda: trim, about)


def _n_tokens(text: str) -> int:
    return len(encoder()(text))


PEERS = (
    _peer(
        "window",
        "`SlidingWindowCompaction`, at the budget, keeping half of it",
        lambda c, budget: c.SlidingWindowCompaction(
            max_tokens=budget, keep_tokens=budget // 2, tokenizer=_n_tokens
        ),
    ),
    _peer(
        "window-4",
        "`SlidingWindowCompaction`, at the budget, keeping 4 messages",
        lambda c, budget: c.SlidingWindowCompaction(max_tokens=budget, keep_messages=4),
    ),
    _peer(
        "clear-results",
        "`ClearToolResults`, its defaults: old results only",
        lambda c, budget: c.ClearToolResults(max_tokens=budget),
    ),
)
