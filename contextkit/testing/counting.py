"""How many tokens messages take: the function that trimmers are handed and judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contextkit.dialects import parse_message
from contextkit.testing.wire import known_by
from contextkit.tokens import Measure, add
from contextkit.tokens.choose import counter_for

KEPT = 200_000
"""Messages whose measure is remembered."""


class Count:
    """`count(messages)`: tokens of a whole request in any provider's form (o200k_base), framing included.

    Raises `InvalidMessage` for what is no message.
    """

    def __init__(self) -> None:
        self._counter = counter_for("", "", "o200k_base")
        self._frame = self._counter.measure_frame(())
        self._measures: dict[bytes, Measure] = {}

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """The upper end where pictures or long texts leave a margin; nothing for no messages."""
        total = self._frame if messages else self._counter.zero
        for message in messages:
            total = add(total, self._measure(message))
        return self._counter.upper(total)

    def _measure(self, message: Mapping[str, Any]) -> Measure:
        key = known_by(message)
        found = self._measures.get(key)
        if found is None:
            if len(self._measures) > KEPT:
                self._measures.clear()
            found = self._measures[key] = self._counter.measure(parse_message(message))
        return found
