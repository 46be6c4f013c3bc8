"""Search over a thread's messages: the words as they stand, whatever their case, newest first."""

from __future__ import annotations

import re
import time
from typing import Any

from contextkit.expansion import Expansion
from contextkit.inspector.web.originals import visible
from contextkit.inspector.web.reading import Reading
from contextkit.piece import entry_handle

PAGE = 128
HITS = 40
STEP_S = 0.4
AROUND = 90
"""Characters shown on either side of what was found."""


def search(reading: Reading, wanted: str, before: int | None = None) -> dict[str, Any]:
    """Messages with `wanted` in them, from entry `before` backwards.

    Ends after `HITS` messages or `STEP_S` seconds; `next` is where to go on, None at the beginning
    of the log.
    """
    n_entries = reading.store.head(reading.record).n_entries
    stop = n_entries if before is None else max(0, min(before, n_entries))
    pattern = re.compile(re.escape(wanted), re.IGNORECASE)
    until = time.monotonic() + STEP_S
    hits: list[dict[str, Any]] = []
    while wanted and stop and len(hits) < HITS and time.monotonic() < until:
        start = max(0, stop - PAGE)
        for entry in reversed(reading.store.entries(reading.record, start, stop)):
            text = Expansion("", [entry.message]).text
            if found := pattern.search(text):
                hits.append(_hit(entry.seq, entry.message.role, text, found))
                if len(hits) == HITS:
                    start = entry.seq
                    break
        stop = start
    return {"hits": hits, "next": stop if wanted and stop else None, "n_entries": n_entries}


def _hit(seq: int, role: str, text: str, found: re.Match[str]) -> dict[str, Any]:
    low, high = max(0, found.start() - AROUND), min(len(text), found.end() + AROUND)
    return {
        "seq": seq,
        "handle": entry_handle(seq, seq + 1),
        "role": role,
        "before": ("\u2026" if low else "") + visible(text[low : found.start()]),
        "match": visible(text[found.start() : found.end()]),
        "after": visible(text[found.end() : high]) + ("\u2026" if high < len(text) else ""),
    }
