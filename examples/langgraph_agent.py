"""A LangGraph agent as a graph of one model node and its tools, with a checkpointer.

    pip install "contextkit[langgraph]" langchain-openai
    OPENAI_API_KEY=… python examples/langgraph_agent.py

The checkpoints keep all messages; the node shows the model what fits of them.
"""

from __future__ import annotations

import os
from typing import Any

from langchain.chat_models import init_chat_model
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import contextkit
from contextkit.adapters.langgraph import ModelNode

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
    model = init_chat_model(MODEL, model_provider="openai", use_responses_api=False)
    tools = [find_flights]
    graph = StateGraph(MessagesState)
    node = ModelNode(model, manager, tools=tools, system="You book trips. Be brief.")
    graph.add_node("model", node)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    app = graph.compile(checkpointer=InMemorySaver())

    config: Any = {"configurable": {"thread_id": "trip"}}
    for day in ("Friday", "Saturday", "Sunday", "Monday"):
        question = f"Which flight is the cheapest on {day}?"
        asked: Any = {"messages": [("user", question)]}
        print(f"> {question}\n{app.invoke(asked, config)['messages'][-1].text}")
    with manager:
        print()
        print(manager.thread("trip").turns()[-1].table())


if __name__ == "__main__":
    main()
