"""Re-derives what an entry must be from the one before it; the heart of every `verify`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from contextkit.documents import Chunk, Document, content_digest
from contextkit.errors import InvalidMessage
from contextkit.log import Entry, next_entry


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it was read, with the SHA-256 of the body it was read from.

    `entry.message.digest` is what the store keeps as the digest; `entry` is None where the row
    could not be read, and `fault` says why.
    """

    seq: int
    entry: Entry | None
    body_digest: bytes = b""
    fault: str = ""


def check_entries(
    previous: Entry | None, rows: Iterable[Stored], *, start: int
) -> Iterator[tuple[int, str]]:
    """(seq, what is wrong) for every mismatch in rows that should begin at `start`.

    Each fault shows once: what follows is measured against the stored values, not the right ones.
    """
    expected, known = start, previous is not None or start == 0
    for row in rows:
        if row.seq != expected:
            yield expected, f"missing: the next stored entry is {row.seq}"
            known = False
        expected = row.seq + 1
        if row.entry is None:
            yield row.seq, row.fault
            known = False
            continue
        if row.body_digest != row.entry.message.digest:
            yield row.seq, "the digest is not that of the body"
        if known:
            yield from ((row.seq, what) for what in _compare(previous, row.entry))
        previous, known = row.entry, True


def check_json(body: str) -> str | None:
    """What is wrong with a stored JSON text, or None."""
    try:
        json.loads(body)
    except ValueError as error:
        return f"its JSON does not parse: {error}"
    return None


def check_chunks(document: Document, chunks: Sequence[Chunk]) -> Iterator[str]:
    """What is wrong with the stored chunks of a document."""
    if len(chunks) != document.n_chunks:
        yield f"document {document.handle}: {len(chunks)} of {document.n_chunks} chunks are there"
    elif content_digest(document.media_type, chunks) != document.digest:
        yield f"document {document.handle}: the digest is not that of its chunks"


def _compare(previous: Entry | None, entry: Entry) -> Iterator[str]:
    zero = (0,) * len(entry.measure)
    try:
        right = next_entry(previous, entry.message, entry.measure, zero)
    except (InvalidMessage, ValueError) as error:
        yield f"it does not follow from the entry before: {error}"
        return
    if entry.chain != right.chain:
        yield "the chain value does not follow from the entry before and the digest"
    if entry.total != right.total:
        yield f"the total is {entry.total}, the sum of the measures is {right.total}"
    for field in ("group", "request", "irregular"):
        stored, derived = getattr(entry, field), getattr(right, field)
        if stored != derived:
            yield f"{field} is {stored}, the log gives {derived}"
    if dict(entry.open) != dict(right.open):
        yield f"open calls are {sorted(entry.open)}, the log gives {sorted(right.open)}"
