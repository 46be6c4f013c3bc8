"""Prose told by whole sentences: what a sentence holds stays with it or leaves with it."""

from __future__ import annotations

from dataclasses import dataclass

from contextkit.compression.spans import sentences
from contextkit.compression.structure.eliding import NotThis, Parts, counted
from contextkit.compression.structure.lines import cut

MOST = 400_000
"""Characters beyond which sentences are not looked for; lines are."""


@dataclass(frozen=True, slots=True)
class Prose:
    """Sentences are the parts."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` for a single sentence and for very long texts."""
        if start or stop != len(text):
            return None
        found = sentences(text) if len(text) <= MOST else []
        if len(found) < 2:
            raise NotThis("no sentences")
        starts, stops = [a for a, _ in found], [b for _, b in found]
        return Parts(starts, stops, 0, stop, what="sentences")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A note in the place of what left, with the blanks that ended it."""
        last = text[parts.starts[high - 1] : parts.stops[high - 1]]
        blanks = last[len(last.rstrip()) :]
        return f"[… {counted(high - low, parts.what)} left out{where}]{blanks}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """A very long sentence: its head and its tail."""
        return cut(text[start:stop], room, where)

    def finish(self, told: str) -> str:
        """Valid however many sentences there are."""
        return told
