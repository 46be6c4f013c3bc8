"""AutoGen: its chat completion contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.peers.base import Origins, Peer, apart, batches, load, text_of, wait


class _Client:
    """As much of a model client as the token limited context asks for: it counts."""

    def __init__(self, count: Callable[[Sequence[Any]], int]) -> None:
        self._count = count

    def count_tokens(self, messages: Sequence[Any], *, tools: Sequence[Any] = ()) -> int:
        return self._count(messages)


def _native(messages: list[Wire], origins: Origins) -> list[Any]:
    """AutoGen's messages; the results of one batch are one message there."""
    models: Any = load("autogen_core.models")
    calls: Any = load("autogen_core").FunctionCall
    made: list[Any] = []
    for batch in batches(messages):
        first = batch[0]
        if first["role"] == "tool":
            results = [
                models.FunctionExecutionResult(
                    content=wire["content"], name="", call_id=wire["tool_call_id"], is_error=False
                )
                for wire in batch
            ]
            native = models.FunctionExecutionResultMessage(content=results)
        elif first["role"] == "assistant":
            asked = [
                calls(id=call["id"], arguments=call["function"]["arguments"],
                      name=call["function"]["name"])
                for call in first.get("tool_calls", ())
            ]  # fmt: skip
            native = models.AssistantMessage(content=asked or text_of(first), source="agent")
        elif first["role"] == "system":
            native = models.SystemMessage(content=text_of(first))
        else:
            native = models.UserMessage(content=text_of(first), source="user")
        origins.put(id(native), *batch)
        made.append(native)
    return made


def _context(make: Callable[[Any, int, _Client], Any], system_within: bool) -> Any:
    def trim(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        opening, rest, room = (
            ([], messages, budget_tokens)
            if system_within
            else apart(messages, budget_tokens, count)
        )
        origins = Origins()
        natives = _native(rest, origins)

        def back(some: Sequence[Any]) -> list[Wire]:
            return [wire for n in some for wire in origins.back(id(n), n, lambda _: [])]

        contexts: Any = load("autogen_core.model_context")
        context = make(contexts, room, _Client(lambda some: count(back(some))))

        async def put_and_get() -> Any:
            for native in natives:
                await context.add_message(native)
            return await context.get_messages()

        return [*opening, *back(wait(put_and_get()))]

    return trim


def _peer(
    name: str,
    about: str,
    make: Callable[[Any, int, _Client], Any],
    system_within: bool = False,
) -> Peer:
    trim = _context(make, system_within)
    return Peer(f"autogen-{name}", "autogen-core", "autogen_core", lambda: trim, about)


PEERS = (
    _peer(
        "token-limited",
        "`TokenLimitedChatCompletionContext`",
        lambda contexts, room, client: contexts.TokenLimitedChatCompletionContext(
            client, token_limit=room
        ),
    ),
    _peer(
        "token-limited-within",
        "`TokenLimitedChatCompletionContext`, the system prompt one of its messages",
        lambda contexts, room, client: contexts.TokenLimitedChatCompletionContext(
            client, token_limit=room
        ),
        system_within=True,
    ),
    _peer(
        "buffered",
        "`BufferedChatCompletionContext(8)`: counts messages, not tokens",
        lambda contexts, _, client: contexts.BufferedChatCompletionContext(8),
    ),
    _peer(
        "head-and-tail",
        "`HeadAndTailChatCompletionContext(2, 6)`: counts messages, not tokens",
        lambda contexts, _, client: contexts.HeadAndTailChatCompletionContext(2, 6),
    ),
)
