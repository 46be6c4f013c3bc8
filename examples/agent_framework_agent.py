"""An agent of Microsoft Agent Framework whose history and calls are kept by contextkit.

pip install "contextkit[agent-framework]" agent-framework-openai
OPENAI_API_KEY=… python examples/agent_framework_agent.py
"""

from __future__ import annotations

import asyncio
import os

from agent_framework import Agent, tool
from agent_framework.openai import OpenAIChatCompletionClient

import contextkit
from contextkit.adapters.agent_framework import ContextHistory, ContextMiddleware

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


@tool
def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day."""
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


async def converse(manager: contextkit.ContextManager) -> None:
    agent = Agent(
        OpenAIChatCompletionClient(MODEL),
        "You book trips. Be brief.",
        tools=[find_flights],
        middleware=[ContextMiddleware(manager)],
        context_providers=[ContextHistory(manager)],
    )
    session = agent.create_session(session_id="trip")
    for day in ("Friday", "Saturday", "Sunday", "Monday"):
        question = f"Which flight is the cheapest on {day}?"
        answer = await agent.run(question, session=session)
        print(f"> {question}\n{answer.text}")


def main() -> None:
    with contextkit.ContextManager(
        {"kind": "openai", "model": MODEL},
        budget={"window": 1024, "reply_reserve": 128},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    ) as manager:
        asyncio.run(converse(manager))
        print()
        print(manager.thread("trip/calls").turns()[-1].table())


if __name__ == "__main__":
    main()
