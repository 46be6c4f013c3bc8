"""What is found and shown: passages, each a message or a part of a long one, or a chunk of a document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contextkit.documents import Chunk, Document
from contextkit.log import Entry
from contextkit.messages import Message
from contextkit.piece import entry_handle
from contextkit.searchable import entry_text

LONGEST = 1500
"""Characters of a passage; longer messages become several, cut between paragraphs, lines or sentences."""
_CUTS = ("\n\n", "\n", ". ", " ")
_TIME_FIELDS = ("timestamp", "created_at", "created", "date", "datetime", "time", "ts")
_STAMP = re.compile(r"\s*[(\[]([^()\[\]\n]{4,40})[)\]]\s*")
_NAMED = re.compile(r"\s*([A-Z\u00c0-\u00de][\w.' -]{0,30}):\s")
_FORMATS = (
    "%I:%M %p on %d %B, %Y",
    "%d %B, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%Y/%m/%d",
    "%Y/%m/%d (%a) %H:%M",
    "%d.%m.%Y",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of a thread as they were said, with who said them and when.

    `handle` brings back the whole message (`m17`) or chunk (`d1.3`) that they are from. A summary
    (`s1.0-23`) may stand among passages too; its handle brings back the messages it tells.
    """

    handle: str
    text: str
    speaker: str = ""
    at: str = ""
    """ISO 8601, as precise as it is known; empty where it is not."""
    start: int = -1
    stop: int = -1
    """The entries `start <= seq < stop` that it is from; -1 for a chunk of a document."""
    part: int = 0
    """Counted from 0 among the passages of one message."""
    place: str = ""
    """Where a chunk stands in its document; what a summary stands for."""
    says_who: bool = False
    """Whether the text itself begins with its speaker."""
    says_when: bool = False
    """Whether the text itself begins with its date."""
    level: int = 0
    """Of a summary; 0 for words as they were said."""
    tells: tuple[int, ...] = ()
    """`seq` of the entries whose words a summary tells, ascending."""

    @property
    def is_chunk(self) -> bool:
        return self.start < 0

    @property
    def day(self) -> str:
        """The date without the time of day."""
        return self.at[:10]

    @property
    def year(self) -> str:
        return self.at[:4]


def passages_of(entry: Entry) -> list[Passage]:
    """The passages of a log entry, in order; none where it has no words to be found by."""
    text = entry_text(entry)
    if not text.strip():
        return []
    message = entry.message
    stamp, named = _label(text)
    at = said_at(message.extra) or stamp
    speaker = message.name or named or _role(message)
    handle = entry_handle(entry.seq, entry.seq + 1)
    return [
        Passage(
            handle,
            part,
            speaker,
            at,
            entry.seq,
            entry.seq + 1,
            number,
            says_who=bool(named) and named == speaker and number == 0,
            says_when=bool(stamp) and number == 0,
        )
        for number, part in enumerate(split(text))
    ]


def split(text: str) -> Iterator[str]:
    """The text in parts of at most `LONGEST` characters; together they are the text."""
    while len(text) > LONGEST:
        cut = LONGEST
        for mark in _CUTS:
            found = text.rfind(mark, LONGEST // 3, LONGEST)
            if found > 0:
                cut = found + len(mark)
                break
        yield text[:cut]
        text = text[cut:]
    if text.strip():
        yield text


def said_at(extra: Mapping[str, Any]) -> str:
    """When a message was said, from the fields that wire forms and frameworks use; ISO 8601 or empty."""
    for name in _TIME_FIELDS:
        if name in extra and (at := read_time(extra[name])):
            return at
    return ""


def read_time(value: object) -> str:
    """ISO 8601 of a time stamp: seconds since 1970, ISO, or a date as people write it; else empty."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value / 1000 if value > 1e11 else value
        try:
            return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")[:16]
        except (OverflowError, ValueError, OSError):
            return ""
    if not isinstance(value, str) or not 6 <= len(value) <= 40:
        return ""
    text = value.strip()
    with suppress(ValueError):  # not ISO 8601: one of the other forms, perhaps
        return datetime.fromisoformat(text).isoformat(timespec="minutes")[:16]
    for form in _FORMATS:
        try:
            made = datetime.strptime(text, form)
        except ValueError:
            continue
        return made.isoformat(timespec="minutes")[: 16 if "%M" in form else 10]
    return ""


def _label(text: str) -> tuple[str, str]:
    """The date and the speaker that a text begins with, `(8 May 2023) Ann: …`; empty where it does not."""
    at, rest = "", text[:120]
    stamp = _STAMP.match(rest)
    if stamp and (at := read_time(stamp[1])):
        rest = rest[stamp.end() :]
    named = _NAMED.match(rest)
    return at, named[1].strip() if named and len(named[1].split()) <= 3 else ""


def _role(message: Message) -> str:
    names = [result.name for result in message.tool_results if result.name]
    return names[0] if names else message.role


def passage_of_chunk(chunk: Chunk, document: Document) -> Passage:
    """A chunk of a document as a passage; its document's name stands for the speaker."""
    return Passage(chunk.handle, chunk.text, document.name, place=chunk.place, part=chunk.number)
