"""Microsoft Agent Framework: four of its compaction strategies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.peers.base import Origins, Peer, encoder, load, text_of, wait


class _Tokenizer:
    """o200k_base for the package's own way of counting."""

    def count_tokens(self, text: str) -> int:
        return len(encoder()(text))


def _native(messages: list[Wire], origins: Origins) -> list[Any]:
    framework: Any = load("agent_framework")
    content: Any = framework.Content
    made: list[Any] = []
    for place, wire in enumerate(messages):
        contents: list[Any] = []
        if wire["role"] == "tool":
            call_id, result = wire["tool_call_id"], wire["content"]
            contents.append(content.from_function_result(call_id=call_id, result=result))
        elif text := text_of(wire):
            contents.append(content.from_text(text))
        for call in wire.get("tool_calls", ()):
            body = call["function"]
            contents.append(
                content.from_function_call(
                    call_id=call["id"], name=body["name"], arguments=body["arguments"]
                )
            )
        native = framework.Message(role=wire["role"], contents=contents, message_id=f"at {place}")
        origins.put(f"at {place}", wire)
        made.append(native)
    return made


def _compacted(strategy_of: Callable[[Any, int], Any]) -> Any:
    def trim(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        origins = Origins()
        natives = _native(messages, origins)
        framework: Any = load("agent_framework")
        compact: Any = load("agent_framework._compaction").apply_compaction
        kept = wait(
            compact(natives, strategy=strategy_of(framework, budget_tokens), tokenizer=_Tokenizer())
        )

        def written(native: Any) -> list[Wire]:
            return [{"role": str(native.role), "content": native.text}]

        return [wire for n in kept for wire in origins.back(n.message_id, n, written)]

    return trim


def _peer(name: str, about: str, strategy_of: Callable[[Any, int], Any]) -> Peer:
    trim = _compacted(strategy_of)
    return Peer(
        f"agent-framework-{name}", "agent-framework-core", "agent_framework", lambda: trim, about
    )


PEERS = (
    _peer(
        "window",
        "`SlidingWindowStrategy(keep_last_groups=6)`: counts groups, not tokens",
        lambda af, _: af.SlidingWindowStrategy(keep_last_groups=6),
    ),
    _peer(
        "tool-results",
        "`ToolResultCompactionStrategy()`: old results only",
        lambda af, _: af.ToolResultCompactionStrategy(),
    ),
    _peer(
        "budget",
        "`TokenBudgetComposedStrategy` over the sliding window",
        lambda af, budget: af.TokenBudgetComposedStrategy(
            token_budget=budget,
            tokenizer=_Tokenizer(),
            strategies=[af.SlidingWindowStrategy(keep_last_groups=6)],
        ),
    ),
    _peer(
        "context-window",
        "`ContextWindowCompactionStrategy`, its defaults",
        lambda af, budget: af.ContextWindowCompactionStrategy(
            max_context_window_tokens=budget + 100, max_output_tokens=100, tokenizer=_Tokenizer()
        ),
    ),
)
