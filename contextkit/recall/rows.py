"""What is known of every row of a memory but its words: who, when, which exchange; kept in segments."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from contextkit.recall import words
from contextkit.recall.lexical import count
from contextkit.recall.passages import Passage
from contextkit.recall.words import terms

PAUSE = timedelta(hours=4)
"""Silence after which an exchange is another one."""
STRETCH = 24
"""Rows after which a session without dates counts as another one, for what sessions add to a score."""


@dataclass(frozen=True, slots=True)
class Row:
    """A passage without its words."""

    handle: str
    start: int
    """`seq` of the entry, -1 for a chunk."""
    part: int
    speaker: str
    at: str
    asks: bool
    """Whether it ends with a question."""
    n_chars: int
    key: str
    """SHA-256 of what is indexed and embedded."""
    names: tuple[str, ...]
    """Terms of the names in it, by which one passage leads to another."""
    counts: dict[str, int]

    @property
    def id(self) -> str:
        """Its name in an index: the handle, and behind it the part of a message that has several."""
        return f"{self.handle}#{self.part}" if self.part and self.start >= 0 else self.handle


def said(passage: Passage) -> str:
    """What is indexed of a passage: its words behind the name of who said them, or of its document."""
    if passage.is_chunk:
        return "\n".join(filter(None, (passage.speaker, passage.place, passage.text)))
    named = passage.speaker and not passage.says_who and not is_role(passage.speaker)
    return f"{passage.speaker}: {passage.text}" if named else passage.text


def is_role(speaker: str) -> bool:
    """Whether a speaker is a role of the conversation and not a name."""
    return speaker in ("user", "assistant", "tool")


def row_of(passage: Passage) -> Row:
    """The row of a passage; its words are cut into terms here."""
    text = said(passage)
    return Row(
        passage.handle,
        passage.start,
        passage.part,
        passage.speaker,
        passage.at,
        passage.text.rstrip(" \n\"')*").endswith(("?", "\uff1f", "\u061f")),
        len(text),
        sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        tuple(_names(passage)),
        count(terms(text)),
    )


def _names(passage: Passage) -> list[str]:
    found = words.names(passage.text)
    return [*terms(passage.speaker), *found] if passage.is_chunk else found


def dump(rows: Sequence[Row]) -> bytes:
    """Rows as compressed JSON."""
    table = [
        [
            r.handle,
            r.start,
            r.part,
            r.speaker,
            r.at,
            int(r.asks),
            r.n_chars,
            r.key,
            r.names,
            r.counts,
        ]
        for r in rows
    ]
    return zlib.compress(
        json.dumps(table, separators=(",", ":")).encode("utf-8", "surrogatepass"), 1
    )


def load(kept: bytes) -> list[Row]:
    """The rows that `dump` wrote. Raises `ValueError` for anything else."""
    try:
        table: list[list[Any]] = json.loads(zlib.decompress(kept))
        return [
            Row(handle, start, part, speaker, at, bool(asks), n_chars, key, tuple(names), counts)
            for handle, start, part, speaker, at, asks, n_chars, key, names, counts in table
        ]
    except (zlib.error, TypeError) as error:
        raise ValueError(f"not a segment of rows: {error}") from error


class Sessions:
    """Numbers the exchanges that rows belong to, as they come: by their dates, else by their number."""

    def __init__(self) -> None:
        self._number = -1
        self._stretch = -1
        self._n_in_stretch = 0
        self._source = ""
        self._at: datetime | None = None
        self._has_time = False

    def place(self, rows: Iterable[Row]) -> tuple[list[int], list[int]]:
        """For each row its session, and its stretch: a part of a session, or a whole one with dates."""
        sessions: list[int] = []
        stretches: list[int] = []
        for row in rows:
            begins, dated = self._begins(row)
            if begins:
                self._number += 1
            if begins or (not dated and self._n_in_stretch >= STRETCH):
                self._stretch += 1
                self._n_in_stretch = 0
            self._n_in_stretch += 1
            sessions.append(self._number)
            stretches.append(self._stretch)
        return sessions, stretches

    def _begins(self, row: Row) -> tuple[bool, bool]:
        source = "log" if row.start >= 0 else row.handle.partition(".")[0]
        begins = source != self._source
        self._source = source
        if begins:
            self._at = None
        at = datetime.fromisoformat(row.at) if row.at else None
        if at is not None:
            has_time = len(row.at) > 10
            if self._at is not None:
                far = abs(at - self._at) > PAUSE
                begins |= far if has_time and self._has_time else at.date() != self._at.date()
            self._at, self._has_time = at, has_time
        return begins, self._at is not None
