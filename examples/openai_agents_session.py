"""An agent of the OpenAI Agents SDK whose session and calls are one durable thread.

    pip install "contextkit[openai-agents]"
    OPENAI_API_KEY=… python examples/openai_agents_session.py

Run it twice: the second run goes on with what the first one said, out of trip.db.
"""

from __future__ import annotations

import asyncio
import os

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI

import contextkit
from contextkit.adapters.openai_agents import ContextHooks, ContextSession

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


@function_tool
def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day."""
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))


async def converse(manager: contextkit.ContextManager) -> None:
    session = ContextSession(manager, "trip")
    hooks = ContextHooks(manager, session=session)
    async with AsyncOpenAI() as client:
        agent = Agent(
            name="clerk",
            instructions="You book trips. Be brief.",
            model=OpenAIChatCompletionsModel(MODEL, client),
            model_settings=ModelSettings(include_usage=True),
            tools=[find_flights],
        )
        for day in ("Friday", "Saturday", "Sunday", "Monday"):
            question = f"Which flight is the cheapest on {day}?"
            result = await Runner.run(
                agent, question, session=session, hooks=hooks, run_config=hooks.config()
            )
            print(f"> {question}\n{result.final_output}")
    print()
    print(session.thread.turns()[-1].table())


def main() -> None:
    with contextkit.ContextManager(
        {"kind": "openai", "model": MODEL},
        budget={"window": 1024, "reply_reserve": 128},
        history={"kind": "sql", "url": "sqlite:///trip.db"},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    ) as manager:
        asyncio.run(converse(manager))


if __name__ == "__main__":
    main()
