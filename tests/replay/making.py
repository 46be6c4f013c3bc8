"""Recordings made for the tests: a coding agent that reads files and names what it saw."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from contextkit import replay
from contextkit.replay.readers import read_values
from contextkit.replay.readers.files import Row

Wire = dict[str, Any]

PROVIDER = "anthropic:claude-sonnet-4-5"
WORDS = ("load", "store", "index", "query", "parse", "merge", "split", "order", "count", "close")


def conversation(seed: int = 0, n_calls: int = 12, size: int = 60) -> list[Wire]:
    """An OpenAI chat of an agent: every step reads a file and quotes names from earlier results."""
    chance = Random(seed)
    seen = ["/repo/setup.py"]
    out: list[Wire] = [
        {"role": "system", "content": "You fix bugs. " * 40},
        {"role": "user", "content": "Fix the failing test of /repo/setup.py, please."},
    ]
    for step in range(n_calls - 1):
        names = chance.sample(seen, min(len(seen), 2))
        body = {"command": f"grep -n {' '.join(names)}", "lines": [step, step + 20]}
        call = {"name": "bash", "arguments": json.dumps(body)}
        out.append(
            {
                "role": "assistant",
                "content": f"Step {step}.",
                "tool_calls": [{"id": f"call-{seed}-{step}", "type": "function", "function": call}],
            }
        )
        found = [f"/repo/{chance.choice(WORDS)}_{chance.randrange(1000)}.py" for _ in range(3)]
        seen += found
        lines = [f"{n}: {' '.join(chance.choices(WORDS, k=6))}" for n in range(size)]
        text = "\n".join([*found, *lines])
        out.append({"role": "tool", "tool_call_id": f"call-{seed}-{step}", "content": text})
    out.append({"role": "assistant", "content": "Done."})
    return out


def recording(wire: Any, name: str = "run") -> replay.Recording:
    """The recording in one JSON value."""
    return next(iter(read_values([Row(1, wire)], name)))


def recordings(n: int = 4, **sizes: int) -> list[replay.Recording]:
    """Several runs of the made-up agent."""
    return [
        recording({"id": f"run-{seed}", "messages": conversation(seed, **sizes)})
        for seed in range(n)
    ]
