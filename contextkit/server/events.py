"""Server-sent events on their way through: handed on byte for byte, read for the reply they make.

From the event on that says why a reply ended, events are held back until the turn was recorded: whoever
saw the end of a reply can count on its being kept.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from contextkit.dialects.streams import Collector
from contextkit.server.endpoints import Endpoint

_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
LONGEST_BLANK = 4
"""Bytes of the longest end of an event."""
_LINE = re.compile(r"\r\n|\n|\r")
LONGEST_EVENT = 64 * 1024 * 1024
_log = logging.getLogger("contextkit.server")


class EventReader:
    """Takes in what comes, gives what may be handed on."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.collector: Collector = endpoint.wire.collector()
        self.is_complete = False
        """All of the reply has come, its usage included: it can be recorded."""
        self._endpoint = endpoint
        self._partial = b""
        self._held: list[bytes] = []
        self._reads = True

    def feed(self, data: bytes) -> bytes:
        """The whole events in what has come so far, but for those that are held back."""
        if not self._reads:
            return data
        looked_at = max(0, len(self._partial) - LONGEST_BLANK)
        data = self._partial + data
        start, shown = 0, 0
        for end in (found.end() for found in _BLANK.finditer(data, looked_at)):
            self._take(data[start:end])
            if not self._held and self.collector.finish_reason is None:
                shown = end
            else:
                self._held.append(data[start:end])
            start = end
            if not self._reads:
                break
        if self._reads and len(data) - start <= LONGEST_EVENT:
            self._partial = data[start:]
            return data[:shown]
        self._partial = b""
        return data[:shown] + self.flush() + data[start:]

    def flush(self) -> bytes:
        """What was held back and not handed on yet, an event that was cut short included."""
        held = b"".join(self._held) + self._partial
        self._held, self._partial = [], b""
        self._reads = False
        return held

    def _take(self, event: bytes) -> None:
        try:
            self._read(event)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self._reads = False
            _log.warning("a stream is handed on unread, its turn is not recorded: %r", error)

    def _read(self, event: bytes) -> None:
        lines = _LINE.split(event.decode())
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if not data:
            return
        value: Any = {} if data == "[DONE]" else json.loads(data)
        if isinstance(value, dict):
            self.collector.add(value)  # pyright: ignore[reportUnknownArgumentType]
            is_last = self._endpoint.is_last(data, value)  # pyright: ignore[reportUnknownArgumentType]
            self.is_complete = self.is_complete or (self.collector.finished and is_last)
