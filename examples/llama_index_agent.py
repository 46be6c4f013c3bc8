"""A LlamaIndex agent over a wrapped model: every request fits a window of 1,024 tokens.

    pip install "contextkit[llama-index]" llama-index-llms-openai
    OPENAI_API_KEY=… python examples/llama_index_agent.py

The wrapped model keeps the budget for all that a request holds: system prompt, tools, steps of the run.
"""

from __future__ import annotations

import asyncio
import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.memory import Memory
from llama_index.llms.openai import OpenAI  # type: ignore[import-untyped]

import contextkit
from contextkit.adapters.llama_index import wrap

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day."""
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


async def converse(manager: contextkit.ContextManager) -> None:
    agent = FunctionAgent(
        tools=[find_flights],
        llm=wrap(OpenAI(MODEL, api_base=os.environ.get("OPENAI_BASE_URL")), manager),
        system_prompt="You book trips. Be brief.",
        streaming=False,
    )
    memory = Memory.from_defaults(token_limit=1_000_000)  # cuts nothing itself
    for day in ("Friday", "Saturday", "Sunday", "Monday"):
        question = f"Which flight is the cheapest on {day}?"
        print(f"> {question}\n{await agent.run(question, memory=memory)}")


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
