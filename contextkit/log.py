"""The append-only log of a thread: entries that know their place, their measure and their batch.

An entry is a message with what assembly must know without reading its neighbours: the running sum of
measures, the first entry of its atomic group (a batch of tool calls with its results is never cut),
the newest user request so far, and the calls still open. All of it follows from the entry before, so
appending is O(1) and so is opening a thread of any length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contextkit.errors import InvalidMessage
from contextkit.messages import Message
from contextkit.tokens import Measure, add

NONE_OPEN: Mapping[str, int] = MappingProxyType({})
OPEN_LIMIT = 64
"""Calls never answered are remembered for late results, the newest so many of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a log, at `seq` counted from 0."""

    seq: int
    message: Message
    measure: Measure
    total: Measure
    """Sum of the measures of entries 0..seq, this one included."""
    group: int
    """`seq` of the first entry of the atomic group this one belongs to."""
    request: int
    """`seq` of the newest user request at or before this entry; -1 before the first."""
    open: Mapping[str, int]
    """Tool calls without a result after this entry: call id -> group."""
    irregular: bool
    """True where pairing needs a repair: a late result, or an entry that leaves a batch unanswered."""
    chain: bytes
    """SHA-256 over the previous chain value and this digest: a changed or missing entry shows."""


def next_entry(previous: Entry | None, message: Message, measure: Measure, zero: Measure) -> Entry:
    """The entry that `message` becomes after `previous`.

    Raises `InvalidMessage` for a result whose call is not open and for a call id that is open already.
    """
    seq = previous.seq + 1 if previous else 0
    before = previous.open if previous else NONE_OPEN
    still_open = _answer(before, message)
    group, late = _group(previous, message, seq)
    still_open = _ask(still_open, message, group)
    leaves_open = (
        previous is not None
        and not message.tool_results
        and any(start == previous.group for start in before.values())
        and group != previous.group
    )
    return Entry(
        seq=seq,
        message=message,
        measure=measure,
        total=add(previous.total, measure) if previous else add(zero, measure),
        group=group,
        request=seq if message.is_request else (previous.request if previous else -1),
        open=still_open,
        irregular=late or leaves_open,
        chain=link(previous.chain if previous else b"", message.digest),
    )


def link(chain: bytes, digest: bytes) -> bytes:
    """The chain value after `digest`."""
    return hashlib.sha256(chain + digest).digest()


def chain_entries(
    previous: Entry | None, messages: Sequence[Message], measures: Sequence[Measure], zero: Measure
) -> list[Entry]:
    """`next_entry` over a batch; errors name the place in the batch."""
    entries: list[Entry] = []
    for index, (message, measure) in enumerate(zip(messages, measures, strict=True)):
        try:
            previous = next_entry(previous, message, measure, zero)
        except InvalidMessage as error:
            raise type(error)(f"messages.{index}: {error}") from None
        entries.append(previous)
    return entries


def _answer(still_open: Mapping[str, int], message: Message) -> Mapping[str, int]:
    if not message.tool_results:
        return still_open
    rest = dict(still_open)
    for result in message.tool_results:
        if rest.pop(result.call_id, None) is None:
            known = ", ".join(sorted(rest)[:5]) or "none"
            raise InvalidMessage(
                f"a tool result answers call {result.call_id!r}, which is not open (open calls: "
                f"{known}); append the assistant message that made the call first, and each result once"
            )
    return rest or NONE_OPEN


def _ask(still_open: Mapping[str, int], message: Message, group: int) -> Mapping[str, int]:
    if not message.tool_calls:
        return still_open
    asked = dict(still_open)
    for call in message.tool_calls:
        if call.id in asked:
            raise InvalidMessage(
                f"tool call id {call.id!r} is already open; give every call of a batch an id of its own"
            )
        asked[call.id] = group
    while len(asked) > OPEN_LIMIT and next(iter(asked.values())) != group:
        del asked[next(iter(asked))]
    return asked


def _group(previous: Entry | None, message: Message, seq: int) -> tuple[int, bool]:
    if previous is None:
        return seq, False
    if message.tool_results:
        owners = {previous.open[r.call_id] for r in message.tool_results}
        if owners == {previous.group}:
            return previous.group, False
        return seq, True
    if message.role == "assistant" and previous.message.role == "assistant":
        return previous.group, False
    return seq, False
