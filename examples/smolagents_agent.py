"""A smolagents agent over a wrapped model: every step fits a window of 4,096 tokens.

    pip install "contextkit[smolagents]" "smolagents[openai]"
    OPENAI_API_KEY=… python examples/smolagents_agent.py

smolagents writes its memory anew for each step; old observations leave the call, the task stays.
"""

from __future__ import annotations

import os

from smolagents import (  # type: ignore[import-untyped]
    LogLevel,
    OpenAIModel,
    ToolCallingAgent,
    tool,
)

import contextkit
from contextkit.adapters.smolagents import wrap

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")


@tool  # type: ignore[untyped-decorator]
def find_flights(day: str) -> str:
    """Flights from Oslo to Lisbon on a day.

    Args:
        day: The day of the week.
    """
    return "\n".join(f"TP{700 + n}  {day}  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(40))


def main() -> None:
    with contextkit.ContextManager(
        {"kind": "openai", "model": MODEL},
        budget={"window": 4096, "reply_reserve": 256},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    ) as manager:
        model = wrap(OpenAIModel(MODEL), manager)
        agent = ToolCallingAgent(tools=[find_flights], model=model, verbosity_level=LogLevel.ERROR)
        for number, day in enumerate(("Friday", "Saturday", "Sunday", "Monday")):
            question = f"Which flight is the cheapest on {day}?"
            print(f"> {question}\n{agent.run(question, reset=number == 0)}")
        (record,) = manager.threads()
        print()
        print(manager.thread(record.name).turns()[-1].table())


if __name__ == "__main__":
    main()
