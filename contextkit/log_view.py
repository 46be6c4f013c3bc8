"""The log as drafts and policies read it: the stored entries and this turn's new ones, by `seq`."""

from __future__ import annotations

from typing import Protocol

from contextkit.log import Entry
from contextkit.tokens import Measure


class LogView(Protocol):
    """The log as a draft reads it: the stored entries and this turn's new ones, by `seq`."""

    @property
    def stop(self) -> int:
        """One past the newest entry."""
        ...

    def entry(self, seq: int) -> Entry: ...

    def entries(self, start: int, stop: int) -> list[Entry]: ...

    def span(self, start: int, stop: int) -> Measure:
        """The measure of `start <= seq < stop`; two look-ups, whatever the length."""
        ...


def leading_system(log: LogView) -> int:
    """How many system (or developer) messages open the log."""
    seq = 0
    while seq < log.stop and log.entry(seq).message.role in ("system", "developer"):
        seq += 1
    return seq
