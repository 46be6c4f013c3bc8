"""An agent's own tool loop over one thread; runs offline, the model is a script.

    python examples/agent_loop.py

The window is far too small on purpose: an old tool result leaves a preview and a handle, the model
asks for the original by that handle, and the ledger says what became of every piece.
"""

from __future__ import annotations

import json
from typing import Any

import contextkit
from contextkit import Call, Thread, ToolCallPart

FLIGHTS = "\n".join(f"TP{700 + n}  OSL-LIS  {6 + n:02}:15  {190 - 9 * n} EUR" for n in range(14))
HOTELS = "Hotel Lisboa, Rua do Ouro 12, 98 EUR\nPensao Sul, Rua da Prata 3, 61 EUR"


def function(name: str, about: str, parameter: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}}
    body = {"name": name, "description": about, "parameters": schema}
    return {"type": "function", "function": body}


TOOLS = [
    function("find_flights", "Flights of a day", "day"),
    function("find_hotels", "Hotels of a city", "city"),
    function("read_back", "The original behind a handle such as m3", "handle"),
]


def wants(call_id: str, name: str, **arguments: str) -> dict[str, Any]:
    """A scripted reply that asks for a tool."""
    asked = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": None, "tool_calls": [{"id": call_id, "type": "function", "function": asked}]}


SCRIPT = [
    wants("call_1", "find_flights", day="Friday"),
    "There are 14 flights on Friday, from 06:15 to 19:15.",
    wants("call_2", "find_hotels", city="Lisbon"),
    "Pensao Sul has a room for 61 EUR.",
    wants("call_3", "read_back", handle="m3"),
    "TP713 at 19:15, for 73 EUR.",
]


def run_tool(thread: Thread, call: ToolCallPart) -> dict[str, Any]:
    given = json.loads(call.arguments)
    if call.name == "read_back":
        text = thread.expand(given["handle"]).text
    else:
        text = FLIGHTS if call.name == "find_flights" else HOTELS
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def ask(thread: Thread, question: str) -> Call:
    """Ask, run the tools the model wants until it answers in words; the last call that was sent."""
    call = thread.assemble(question, tools=TOOLS)
    while True:
        reply = thread.manager.backend.complete(call)
        thread.record(call, reply)
        if not reply.message.tool_calls:
            return call
        thread.append([run_tool(thread, wanted) for wanted in reply.message.tool_calls])
        call = thread.assemble(tools=TOOLS)


def main() -> None:
    cm = contextkit.ContextManager(
        backend={"kind": "scripted", "replies": SCRIPT},
        budget={"window": 1024, "reply_reserve": 128},
        policies=[
            {
                "kind": "tool_results",
                "high_water": 0.4,  # early, so that this short run shows a cleared result
                "min_gain": 0.1,
                "keep_recent": 1,
                "offload_over_tokens": 128,
                "preview_tokens": 32,
            },
            {"kind": "sliding_window", "sinks": 0},
            "cacheable_prefix",
        ],
    )
    with cm:
        thread = cm.thread("trip")
        thread.append({"role": "system", "content": "You book trips. Be brief."})
        ask(thread, "Find me a flight from Oslo to Lisbon on Friday.")
        ask(thread, "And a hotel?")
        call = ask(thread, "Which flight was the cheapest?")
        print(call.ledger.table())
        print()
        print(call.ledger.explain("m3"))


if __name__ == "__main__":
    main()
