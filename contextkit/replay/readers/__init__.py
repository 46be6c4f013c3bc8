"""Logs as others write them, read as recordings: which form a file has is found from what it holds.

OpenAI and Anthropic conversations and request logs, LangChain messages, tau-bench and tau2 results,
SWE-agent trajectories; JSON, or JSONL with one conversation, one request or one message a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from contextkit.errors import ReplayError
from contextkit.replay.readers import exchanges, langchain, swe_agent, talks, tau
from contextkit.replay.readers.building import table
from contextkit.replay.readers.files import Row, read_rows
from contextkit.replay.recording import Recording

__all__ = ["Reading", "read", "read_values"]

FORMS = (
    "a conversation (a list of messages, or an object with messages), one message a line, logged "
    "requests with their responses, LangChain messages, a tau-bench or tau2 result, or a SWE-agent "
    "trajectory"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds, and what in it could not be used."""

    recordings: tuple[Recording, ...]
    notes: tuple[str, ...]


def read(path: str | Path) -> Reading:
    """All recordings of a file. Raises `ReplayError` where there is none."""
    file = Path(path)
    rows = read_rows(file)
    name = file.name.split(".")[0] or "recording"
    found = [r for r in read_values(rows.rows, name) if r.messages]
    notes = [*rows.notes, *(note for recording in found for note in recording.notes)]
    usable = [recording for recording in found if recording.calls]
    if not usable:
        what = "; ".join(notes[:3]) or f"needs {FORMS}"
        raise ReplayError(f"{file}: holds nothing to replay: {what}")
    return Reading(tuple(usable), tuple(notes))


def read_values(rows: Sequence[Row], name: str) -> Iterator[Recording]:
    """The recordings in JSON values, by the form of the first one."""
    values = [row.value for row in rows]
    if len(values) == 1 and isinstance(values[0], list):
        listed = cast("list[Any]", values[0])
        if not all(_is_message(value) for value in listed):
            values = listed
    if values and all(_is_message(value) for value in values):
        yield from _conversations([{"id": name, "messages": values}], name)
    elif values and all(exchanges.is_exchange(value) for value in values):
        yield from exchanges.read(values, name)
    else:
        yield from _conversations(values, name)


def _conversations(values: Iterable[Any], name: str) -> Iterator[Recording]:
    for index, value in enumerate(values):
        fields = table({"messages": value} if isinstance(value, list) else value)
        own = fields.get("id", fields.get("task_id", fields.get("instance_id")))
        title = str(own) if own is not None else f"{name}-{index}"
        for reader in (tau, swe_agent, langchain, talks):
            if reader.is_own(fields):
                yield from reader.read(fields, title)
                break


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    fields = cast("Mapping[str, Any]", value)
    if any(key in fields for key in ("messages", "request", "history", "traj", "simulations")):
        return False
    return "role" in fields or langchain.is_message(fields)
