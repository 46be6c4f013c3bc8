"""tau-bench results (`traj`) and tau2 results (`simulations`), as the benchmarks write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from contextkit.replay.readers import talks
from contextkit.replay.readers.building import Wire, build, table, tables
from contextkit.replay.recording import Recording


def is_own(fields: Wire) -> bool:
    """Whether a value is a result of one of the benchmarks."""
    return isinstance(fields.get("traj"), list) or isinstance(fields.get("simulations"), list)


def read(fields: Wire, name: str) -> Iterator[Recording]:
    """The runs of one result."""
    if "traj" in fields:
        yield from talks.read({"messages": fields["traj"], "meta": _facts(fields)}, name)
        return
    policy = str(table(table(fields.get("info")).get("environment_info")).get("policy") or "")
    for index, run in enumerate(tables(fields["simulations"])):
        yield _simulation(run, policy, f"{name}-{index}")


def _simulation(run: Wire, policy: str, name: str) -> Recording:
    listed = [wire for wire in tables(run.get("messages")) if wire.get("requestor") != "user"]
    said: list[Any] = [{"role": "system", "content": policy}] if policy else []
    said += [_openai(wire) for wire in listed]
    cost, currency = talks.cost_of(run)
    return build(
        str(run.get("id") or name),
        "tau",
        ((wire, None, talks.usage_of(wire)) for wire in said),
        cost=cost,
        currency=currency,
        meta={"reward": table(run.get("reward_info")).get("reward")},
    )


def _openai(wire: Wire) -> Wire:
    """A message of tau2 in OpenAI's form: its calls have `name` and `arguments` beside the id."""
    if wire.get("role") == "tool" and "tool_call_id" not in wire:
        return {
            "role": "tool",
            "tool_call_id": wire.get("id"),
            "content": wire.get("content") or "",
            "timestamp": wire.get("timestamp"),
        }
    calls = tables(wire.get("tool_calls"))
    if wire.get("role") == "user":
        return {
            key: value for key, value in wire.items() if key in ("role", "content", "timestamp")
        }
    if not calls or any("function" in call for call in calls):
        return wire
    made = [
        {
            "id": call.get("id"),
            "type": "function",
            "function": {"name": call.get("name"), "arguments": json.dumps(call.get("arguments"))},
        }
        for call in calls
    ]
    return {**wire, "tool_calls": made}


def _facts(fields: Wire) -> dict[str, Any]:
    return {key: fields[key] for key in ("reward", "trial", "cost", "currency") if key in fields}
