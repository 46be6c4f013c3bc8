"""Entries as database rows and back.

A body is the message's canonical JSON, so its SHA-256 is the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from contextkit.errors import StoreCorrupt
from contextkit.log import NONE_OPEN, Entry
from contextkit.messages import Message, from_json
from contextkit.store import ThreadRecord
from contextkit.stores.check import Stored
from contextkit.tokens import Measure

Row = tuple[Any, ...]
"""seq, digest, chain, body, measure, total, grp, request, open, irregular."""


def to_row(thread: ThreadRecord, entry: Entry) -> dict[str, Any]:
    """The parameters that insert one entry."""
    return {
        "thread_id": thread.id,
        "seq": entry.seq,
        "digest": entry.message.digest,
        "chain": entry.chain,
        "body": entry.message.canonical,
        "measure": write_measure(entry.measure),
        "total": write_measure(entry.total),
        "grp": entry.group,
        "request": entry.request,
        "open": json.dumps(dict(entry.open)) if entry.open else None,
        "irregular": entry.irregular,
    }


def to_entry(thread: ThreadRecord, row: Row) -> Entry:
    """The entry of one row; raises `StoreCorrupt` where it cannot be read."""
    try:
        return _entry(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreCorrupt(
            f"entry {row[0]} of thread {thread.name!r} cannot be read ({error!r}); run "
            "`contextkit verify` to find every damaged entry, then restore the database from a copy"
        ) from error


def to_stored(row: Row) -> Stored:
    """One row for `verify`: what cannot be read is a fault, not an error."""
    try:
        body_digest = hashlib.sha256(row[3].encode("utf-8")).digest()
        return Stored(row[0], _entry(row), body_digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Stored(row[0], None, fault=f"cannot be read: {error!r}")


def write_measure(measure: Measure) -> str:
    return ",".join(map(str, measure))


def _entry(row: Row) -> Entry:
    seq, digest, chain, body, measure, total, group, request, still_open, irregular = row
    return Entry(
        seq=seq,
        message=_message(body, digest),
        measure=tuple(map(int, measure.split(","))),
        total=tuple(map(int, total.split(","))),
        group=group,
        request=request,
        open=_open(still_open),
        irregular=bool(irregular),
        chain=chain,
    )


def _message(body: str, digest: bytes) -> Message:
    message = from_json(json.loads(body))
    # Fills the cached property: reading a range need not hash every message again.
    message.__dict__["digest"] = digest
    return message


def _open(text: str | None) -> Mapping[str, int]:
    return json.loads(text) if text else NONE_OPEN
