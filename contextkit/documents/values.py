"""Documents and their chunks as frozen values, and the handles that name them: `d2`, `d2.17`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

_HANDLE = re.compile(r"d([1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document; its chunks in order, put together, are the document's text."""

    text: str
    place: str = ""
    """Where it stands, for people: a page, the headings above it."""
    number: int = 0
    """Counted from 0 in its document."""
    document: int = 0
    """Number of its document; 0 while it is not stored."""

    @property
    def handle(self) -> str:
        """`d2.17`: short, stable, quotable."""
        return chunk_handle(self.document, self.number)


@dataclass(frozen=True, slots=True)
class Document:
    """What was ingested into a thread. `digest` names its content (see `content_digest`)."""

    name: str
    media_type: str
    digest: str
    source: str = ""
    """The path it was read from, where it was a file."""
    number: int = 0
    """Counted from 1 in its thread; 0 while it is not stored."""
    n_chunks: int = 0
    added_at: str = ""
    """When it was ingested (UTC, ISO 8601)."""
    n_entries: int = 0
    """Entries of the log when it was ingested: a fork takes along what came before its point."""

    @property
    def handle(self) -> str:
        """`d2`: all of its chunks."""
        return f"d{self.number}"


def chunk_handle(document: int, chunk: int) -> str:
    """The handle of a chunk by the numbers of its document and its own."""
    return f"d{document}.{chunk}"


def parse_chunk_handle(handle: str) -> tuple[int, int | None] | None:
    """The document and the chunk (None: all of it) that a handle names, or None for any other text."""
    found = _HANDLE.fullmatch(handle)
    if found is None:
        return None
    return int(found[1]), None if found[2] is None else int(found[2])


def content_digest(media_type: str, chunks: Iterable[Chunk]) -> str:
    """SHA-256 (hex) over the type and every chunk's text and place: equal content, equal digest."""
    rows = [[chunk.text, chunk.place] for chunk in chunks]
    body = json.dumps([media_type, rows], separators=(",", ":"))
    return hashlib.sha256(body.encode("ascii")).hexdigest()
