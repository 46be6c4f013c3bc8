"""Your own tool loop on the Anthropic SDK: one line wraps the client, the rest stays.

    pip install "contextkit[anthropic]"
    ANTHROPIC_API_KEY=… python examples/wrap_anthropic.py

The loop sends its whole history each time; what Claude is shown fits a window of 2,048 tokens, with cache
points where they pay.
"""

from __future__ import annotations

import os
from typing import Any

from anthropic import Anthropic

import contextkit
from contextkit.adapters.anthropic import wrap

MODEL = os.environ.get("MODEL", "claude-haiku-4-5")
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOLS: Any = [{"name": "find_flights", "description": "Flights of a day", "input_schema": SCHEMA}]


def find_flights(day: str) -> str:
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


def result_of(use: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use.id, "content": find_flights(**use.input)}


def ask(client: Anthropic, said: list[Any], question: str) -> str:
    """Ask, run the tools that Claude wants, until it answers in words."""
    said.append({"role": "user", "content": question})
    while True:
        reply = client.messages.create(model=MODEL, max_tokens=256, messages=said, tools=TOOLS)
        said.append({"role": "assistant", "content": reply.content})
        wanted = [block for block in reply.content if block.type == "tool_use"]
        if not wanted:
            return "".join(block.text for block in reply.content if block.type == "text")
        said.append({"role": "user", "content": [result_of(block) for block in wanted]})


def main() -> None:
    with contextkit.ContextManager(
        {"kind": "anthropic", "model": MODEL},
        budget={"window": 2048, "reply_reserve": 256},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    ) as manager:
        client = wrap(Anthropic(), manager, thread="trip")
        said: list[Any] = []
        for day in ("Friday", "Saturday", "Sunday", "Monday"):
            question = f"Which flight is the cheapest on {day}?"
            print(f"> {question}\n{ask(client, said, question)}")
        print()
        print(manager.thread("trip").turns()[-1].table())


if __name__ == "__main__":
    main()
