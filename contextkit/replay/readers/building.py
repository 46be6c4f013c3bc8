"""From the messages a reader found to a recording: parsed, checked, cut where they go wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from contextkit.dialects import parse_message, parse_tools
from contextkit.errors import InvalidMessage
from contextkit.log import Entry, next_entry
from contextkit.replay.contradictions import contradictions
from contextkit.replay.recording import Question, Recording, Said, find_calls
from contextkit.tools import Tool
from contextkit.usage import Usage

Wire = Mapping[str, Any]

BOOKKEEPING = frozenset(
    ["timestamp", "created_at", "created", "usage", "usage_metadata", "response_metadata", "cost",
     "turn_idx", "raw_data", "model", "id", "stop_reason", "stop_sequence", "generation_time_seconds"]
)  # fmt: skip
"""What a log says about a message; it is not part of what was sent."""


def table(value: Any) -> Wire:
    """A JSON object, or an empty one where the value is none."""
    empty: Wire = {}
    return cast("Wire", value) if isinstance(value, Mapping) else empty


def tables(values: Any) -> list[Wire]:
    """The objects in a list; nothing where it is no list."""
    listed: list[Any] = cast("list[Any]", values) if isinstance(values, list) else []
    return [cast("Wire", value) for value in listed if isinstance(value, Mapping)]


def say(wire: Any, *, at: Any = None, usage: Usage | None = None) -> Said:
    """One message without its bookkeeping. Raises `InvalidMessage`."""
    if isinstance(wire, Mapping):
        fields = cast("Wire", wire)
        at = fields.get("timestamp", fields.get("created_at")) if at is None else at
        keep_id = fields.get("type") not in (None, "message")
        wire = {
            name: value
            for name, value in fields.items()
            if name not in BOOKKEEPING or (name == "id" and keep_id)
        }
    return Said(parse_message(wire), seconds(at), usage)


def seconds(value: Any) -> float | None:
    """A moment in seconds: a number (milliseconds too), or an ISO 8601 text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) / 1000 if value > 1e11 else float(value)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return None


def build(
    name: str,
    source: str,
    said: Iterable[tuple[Any, Any, Usage | None]],
    *,
    tools: Any = (),
    notes: Sequence[str] = (),
    **rest: Any,
) -> Recording:
    """A recording of (message as written, moment, usage); what is no message ends it, and is named."""
    remarks = list(notes)
    parsed: list[Said] = []
    last: Entry | None = None
    for index, (wire, at, usage) in enumerate(said):
        try:
            one = say(wire, at=at, usage=usage)
            last = next_entry(last, one.message, (0, 0), (0, 0))
        except InvalidMessage as error:
            remarks.append(f"{name}: messages.{index}: {error}; used up to there")
            break
        parsed.append(one)
    kept = find_calls(parsed)
    remarks += contradictions(name, kept)
    if not kept:
        remarks.append(f"{name}: no model was asked in it")
    return Recording(
        id=name,
        source=source,
        messages=tuple(one.message for one in parsed),
        calls=kept,
        tools=_tools(name, tools, remarks),
        notes=tuple(remarks),
        **rest,
    )


def _tools(name: str, tools: Any, remarks: list[str]) -> tuple[Tool, ...]:
    try:
        return tuple(parse_tools(tools))
    except InvalidMessage as error:
        remarks.append(f"{name}: {error}; replayed without tools")
        return ()


def questions(value: Any) -> tuple[Question, ...]:
    """`[{question, evidence: [message number or words]}]`; what has another form is left out."""
    found: list[Question] = []
    for fields in tables(value):
        text, evidence = fields.get("question") or fields.get("text"), fields.get("evidence")
        if isinstance(text, str) and isinstance(evidence, list | tuple):
            listed = cast("Sequence[Any]", evidence)
            wanted = tuple(
                e for e in listed if isinstance(e, int | str) and not isinstance(e, bool)
            )
            found.append(Question(text, wanted))
    return tuple(found)
