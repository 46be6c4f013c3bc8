"""Trimmers of other packages on the history of `turn.py`; each is left out where it is not installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

Timer = Callable[..., float]


def measure(rows: list[dict[str, Any]], budget: int, median_ms: Timer) -> Iterator[tuple[str, str]]:
    """Name with version, and the median time of one trim; the history objects are made beforehand."""
    for package, part in (
        ("langchain-core", _langchain),
        ("agent-framework-core", _agent_framework),
    ):
        try:
            release = version(package)
        except PackageNotFoundError:
            yield f"{package}", "not installed"
            continue
        for name, figure in part(rows, budget, median_ms):
            yield f"{package} {release} {name}, n={len(rows):,}", figure


def _counter() -> Callable[[str], int]:
    from contextkit.tokens.rank_files import load_encoding  # the same encoder as ours

    encode = load_encoding("o200k_base").encode_ordinary
    return lambda text: len(encode(text))


def _langchain(
    rows: list[dict[str, Any]], budget: int, median_ms: Timer
) -> Iterator[tuple[str, str]]:
    from langchain_core.messages import convert_to_messages, trim_messages

    history = convert_to_messages(rows)
    count = _counter()

    def exact(messages: Any) -> int:
        return sum(count(str(message.content)) + 4 for message in messages)

    for name, counter, repeat in (
        ("approximate", "approximate", 5),
        ("exact (tiktoken)", exact, 3),
    ):

        def trim(counter: Any = counter) -> Any:
            return trim_messages(
                history,
                token_counter=counter,
                max_tokens=budget,
                strategy="last",
                start_on="human",
                include_system=True,
            )

        yield f"trim_messages {name}", f"{median_ms(trim, repeat):.1f} ms"


def _agent_framework(
    rows: list[dict[str, Any]], budget: int, median_ms: Timer
) -> Iterator[tuple[str, str]]:
    from agent_framework import Content, Message
    from agent_framework._compaction import (
        SlidingWindowStrategy,
        TokenBudgetComposedStrategy,
        apply_compaction,
    )

    def content(row: dict[str, Any]) -> Any:
        if row["role"] == "tool":
            return Content.from_function_result(call_id=row["tool_call_id"], result=row["content"])
        if "tool_calls" in row:
            call = row["tool_calls"][0]
            return Content.from_function_call(
                call_id=call["id"], name="read", arguments=call["function"]["arguments"]
            )
        return Content.from_text(row["content"])

    class Tokenizer:
        count = staticmethod(_counter())

        def count_tokens(self, text: str) -> int:
            return self.count(text)

    history = [Message(role=row["role"], contents=[content(row)]) for row in rows]
    tokenizer = Tokenizer()
    strategy = TokenBudgetComposedStrategy(
        token_budget=budget,
        tokenizer=tokenizer,
        strategies=[SlidingWindowStrategy(keep_last_groups=40)],
    )

    def compact() -> Any:
        return asyncio.run(apply_compaction(history, strategy=strategy, tokenizer=tokenizer))

    compact()
    yield (
        "TokenBudgetComposedStrategy (tiktoken, warm annotations)",
        f"{median_ms(compact, 3):.1f} ms",
    )
