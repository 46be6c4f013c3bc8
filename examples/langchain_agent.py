"""A LangChain agent with a tool, whose calls fit a window of 1,024 tokens.

    pip install "contextkit[langchain]" langchain-openai
    OPENAI_API_KEY=… python examples/langchain_agent.py

With OPENAI_BASE_URL and MODEL it asks any server that speaks OpenAI's API.

The agent keeps its whole history; the ledger tells what each call showed of it.
"""

from __future__ import annotations

import os
from typing import Any

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model

import contextkit
from contextkit.adapters.langchain import ContextMiddleware

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day."""
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


def main() -> None:
    manager = contextkit.ContextManager(
        {"kind": "openai", "model": MODEL},
        budget={"window": 1024, "reply_reserve": 128},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    )
    agent: Any = create_agent(
        init_chat_model(MODEL, model_provider="openai", use_responses_api=False),
        tools=[find_flights],
        system_prompt="You book trips. Be brief.",
        middleware=[ContextMiddleware(manager)],
    )
    said: list[Any] = []
    for day in ("Friday", "Saturday", "Sunday", "Monday"):
        question = {"role": "user", "content": f"Which flight is the cheapest on {day}?"}
        said = agent.invoke({"messages": [*said, question]})["messages"]
        print(f"> {question['content']}\n{said[-1].text}")
    with manager:
        (record,) = manager.threads()
        print()
        print(manager.thread(record.name).turns()[-1].table())


if __name__ == "__main__":
    main()
