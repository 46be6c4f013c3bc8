"""A Pydantic-AI agent with a tool, whose calls fit a window of 1,024 tokens.

pip install "contextkit[pydantic-ai]" "pydantic-ai-slim[openai]"
OPENAI_API_KEY=… python examples/pydantic_ai_agent.py
"""

from __future__ import annotations

import asyncio
import os

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.openai import OpenAIChatModel

import contextkit
from contextkit.adapters.pydantic_ai import ManagedContext

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day."""
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


async def converse(manager: contextkit.ContextManager) -> None:
    agent = Agent(
        OpenAIChatModel(MODEL),
        instructions="You book trips. Be brief.",
        tools=[find_flights],
        capabilities=[ManagedContext(manager)],
    )
    said: list[ModelMessage] = []
    for day in ("Friday", "Saturday", "Sunday", "Monday"):
        question = f"Which flight is the cheapest on {day}?"
        result = await agent.run(question, message_history=said)
        said = result.all_messages()
        print(f"> {question}\n{result.output}")


def main() -> None:
    with contextkit.ContextManager(
        {"kind": "openai", "model": MODEL},
        budget={"window": 1024, "reply_reserve": 128},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    ) as manager:
        asyncio.run(converse(manager))
        (record,) = manager.threads()
        print()
        print(manager.thread(record.name).turns()[-1].table())


if __name__ == "__main__":
    main()
