"""Your own chat loop on the OpenAI SDK, with contextkit deciding what each request carries.

    python examples/wrap_openai.py                       # offline: the echo backend answers
    OPENAI_API_KEY=… python examples/wrap_openai.py      # OpenAI
    OPENAI_BASE_URL=http://gpu:8000/v1 MODEL=Qwen/Qwen3-8B python examples/wrap_openai.py

The loop stays yours: assemble before the request, record after it.
"""

from __future__ import annotations

import os
from typing import Any

import contextkit
from contextkit import Call, Reply, Thread
from contextkit.replies import chat_reply, plain

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")
LIVE = bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"))


def send(thread: Thread, call: Call) -> Reply:
    """What your program does today with its list of messages."""
    if not LIVE:
        return thread.manager.backend.complete(call)
    from openai import OpenAI

    client: Any = OpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"))
    answer = client.chat.completions.create(
        model=MODEL, max_completion_tokens=call.max_output_tokens, **call.to_openai()
    )
    return chat_reply(plain(answer))


def main() -> None:
    cm = contextkit.ContextManager(
        # Counts, window and prices are the model's; without a key the echo backend stands for it.
        backend={"kind": "openai", "model": MODEL}
        if LIVE
        else {"kind": "echo", "provider": "openai", "model": MODEL, "prefix": "You said: "},
        budget={"window": 8192, "reply_reserve": 512},
        policies=["tool_results", "sliding_window", "cacheable_prefix"],
    )
    with cm:
        thread = cm.thread("wrap-openai")
        thread.append({"role": "system", "content": "You are a travel guide. One sentence."})
        for question in ("What is Lisbon known for?", "And Porto?", "Which is nearer to Spain?"):
            call = thread.assemble(question)
            reply = send(thread, call)
            ledger = thread.record(call, reply)
            print(f"> {question}\n{reply.text}")
            cost = "unknown" if ledger.cost_usd is None else f"{ledger.cost_usd:.6f} USD"
            print(f"  [{ledger.input_tokens:,} tokens sent, cost {cost}]")


if __name__ == "__main__":
    main()
