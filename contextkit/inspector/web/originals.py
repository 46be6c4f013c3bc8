"""Click a handle: the messages behind it as they were said, and what stands there instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from contextkit.documents import parse_chunk_handle
from contextkit.errors import UnknownHandle
from contextkit.expansion import Expansion
from contextkit.inspector.web.reading import Reading
from contextkit.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from contextkit.piece import Piece, load, parse_handle
from contextkit.summary import parse_summary_handle

MESSAGES = 20
"""Messages in one answer."""
CHARACTERS = 20_000
"""Of one part; the whole is a link away."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with a picture (␀, ␛, …) for each control character; nothing in it can act."""
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def original(reading: Reading, handle: str, offset: int = 0) -> dict[str, Any]:
    """At most `MESSAGES` of the messages behind a handle, and what the newest call shows for it."""
    shown = _shown(reading, handle)
    if parse_chunk_handle(handle) is not None:
        text = "".join(_chunks(reading, handle))
        rows = [{"seq": None, "role": "document", "name": None, "parts": [_text("text", text)]}]
        return {"handle": handle, "n": 1, "offset": 0, "messages": rows, "shown": None}
    if parse_handle(handle) is None and shown is not None:
        return {"handle": handle, "n": 0, "offset": 0, "messages": [], "shown": shown}
    start, stop = _span(reading, handle)
    entries = reading.store.entries(
        reading.record, start + offset, min(stop, start + offset + MESSAGES)
    )
    return {
        "handle": handle,
        "n": stop - start,
        "offset": offset,
        "messages": [_message(entry.message, entry.seq) for entry in entries],
        "shown": shown,
    }


def lines(reading: Reading, handle: str, *, exact: bool) -> Iterator[str]:
    """The whole of it: readable text, or (`exact`) each message's canonical JSON on a line.

    The SHA-256 of such a line is the digest that the log was chained with. Raises `UnknownHandle`
    before anything is given out.
    """
    if parse_chunk_handle(handle) is not None:
        return iter(_chunks(reading, handle))
    start, stop = _span(reading, handle)
    return _pages(reading, start, stop, exact)


def _pages(reading: Reading, start: int, stop: int, exact: bool) -> Iterator[str]:
    for low in range(start, stop, MESSAGES):
        for entry in reading.store.entries(reading.record, low, min(stop, low + MESSAGES)):
            message = entry.message
            yield (message.canonical if exact else Expansion("", [message]).text) + "\n"


def _span(reading: Reading, handle: str) -> tuple[int, int]:
    span = parse_handle(handle) or parse_summary_handle(handle)
    n_entries = reading.store.head(reading.record).n_entries
    if span is None or span[1] > n_entries:
        raise UnknownHandle(
            f"{handle[:80]!r} names nothing that is kept in thread {reading.record.name!r}; handles "
            f"look like m17, m3-17, s1.3-17 or d1.0, and this thread has {n_entries:,} messages"
        )
    return span


def _chunks(reading: Reading, handle: str) -> list[str]:
    document, chunk = parse_chunk_handle(handle) or (0, None)
    start, stop = (0, None) if chunk is None else (chunk, chunk + 1)
    found = reading.store.chunks(reading.record, document, start, stop)
    if not found:
        raise UnknownHandle(f"{handle[:80]!r} names no chunk in thread {reading.record.name!r}")
    return [each.text for each in found]


def _shown(reading: Reading, handle: str) -> list[dict[str, Any]] | None:
    """What the newest recorded call shows under a handle, where that is not the original."""
    view = reading.store.view(reading.record)
    if view is None:
        return None
    body = json.loads(view.body)
    for fields, shown in load(body["sent"]["pieces"] or body["pieces"]):
        if shown and Piece(measure=(), shown=shown, **fields).handle == handle:
            return [_message(message, None) for message in shown]
    return None


def _message(message: Message, seq: int | None) -> dict[str, Any]:
    return {
        "seq": seq,
        "role": message.role,
        "name": message.name and visible(message.name),
        "digest": message.digest.hex(),
        "bytes": len(message.canonical),
        "parts": [row for part in message.parts for row in _part(part)],
    }


def _part(part: Part) -> Sequence[dict[str, Any]]:
    match part:
        case TextPart():
            return [_text("text", part.text)]
        case ReasoningPart():
            kind = "reasoning, redacted" if part.redacted else "reasoning"
            return [_text(kind, part.text or part.signature or "")]
        case ToolCallPart():
            return [_text(f"calls {part.name} ({part.id})", part.arguments)]
        case ToolResultPart():
            kind = f"{'error' if part.is_error else 'result'} of {part.call_id}"
            if isinstance(part.content, str):
                return [_text(kind, part.content)]
            return [row for inner in part.content for row in _part(inner)]
        case ImagePart() | FilePart():
            kind = "image" if isinstance(part, ImagePart) else "file"
            size = f"{len(part.data):,} characters of base64" if part.data else ""
            about = [part.media_type or "", part.url or "", size]
            return [_text(kind, ", ".join(word for word in about if word))]
        case OpaquePart():
            return [_text(f"{part.dialect} block", json.dumps(dict(part.value), indent=2))]


def _text(kind: str, text: str) -> dict[str, Any]:
    """One part: its label, the beginning of its text, and how long the whole is."""
    return {
        "kind": visible(kind),
        "text": visible(text[:CHARACTERS]),
        "characters": len(text),
        "is_cut": len(text) > CHARACTERS,
    }
