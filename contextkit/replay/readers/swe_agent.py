"""SWE-agent trajectories (`.traj`): the history as it was sent, and what the run cost in all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from contextkit.replay.readers import talks
from contextkit.replay.readers.building import Wire, table, tables
from contextkit.replay.recording import Recording


def is_own(fields: Wire) -> bool:
    """Whether a value is a trajectory file."""
    return isinstance(fields.get("history"), list) and (
        "trajectory" in fields or "info" in fields or "environment" in fields
    )


def read(fields: Wire, name: str) -> Iterator[Recording]:
    """The recording of one trajectory."""
    facts = table(table(fields.get("info")).get("model_stats"))
    wires = [_openai(wire) for wire in tables(fields["history"])]
    meta = {"source": "SWE-agent trajectory", **facts}
    title = str(fields.get("environment") or name)
    yield from talks.read({"messages": wires, "meta": meta, "tools": fields.get("tools")}, title)


def _openai(wire: Wire) -> Wire:
    """A step of the history in OpenAI's form; the agent's own fields are left out."""
    kept: dict[str, Any] = {
        key: wire[key] for key in ("role", "content", "tool_calls", "timestamp") if wire.get(key)
    }
    kept.setdefault("content", None)
    given = wire.get("tool_call_ids")
    ids: list[Any] = cast("list[Any]", given) if isinstance(given, list) else []
    if kept.get("role") == "tool" or (ids and kept.get("role") == "user"):
        content = kept["content"]
        text = content if isinstance(content, str) else "\n".join(_texts(content))
        return {"role": "tool", "tool_call_id": ids[0] if ids else None, "content": text}
    return kept


def _texts(content: Any) -> Iterator[str]:
    for block in tables(content):
        if isinstance(block.get("text"), str):
            yield str(block["text"])
