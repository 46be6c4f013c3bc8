"""The summaries of one thread of a history in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contextkit.store import ThreadRecord, Tile
from contextkit.stores.cover import check_next
from contextkit.summary import Summary


@dataclass(slots=True)
class Summaries:
    """Every summary made, and those in force."""

    made: list[Summary] = field(default_factory=list[Summary])
    cover: list[Summary] = field(default_factory=list[Summary])

    def add(
        self, thread: ThreadRecord, summary: Summary, replaces: Sequence[Summary], n_entries: int
    ) -> None:
        """Raises `CoverMoved` where the summary does not follow those in force."""
        tiles = [(each.start, each.stop, each.level) for each in self.cover]
        check_next(thread, tiles, summary, replaces, n_entries)
        before = [each for each in self.cover if each.stop <= summary.start]
        behind = [each for each in self.cover if each.start >= summary.stop]
        self.cover = [*before, summary, *behind]
        self.made = sorted([*self.made, summary], key=lambda each: (each.level, each.start))

    def put(self, kept: Summary | Tile) -> None:
        """Keep a summary that was made elsewhere, or put one in force that is there."""
        if isinstance(kept, Summary):
            self.made.append(kept)
            return
        place = kept.start, kept.stop, kept.level
        self.cover.append(next(s for s in self.made if (s.start, s.stop, s.level) == place))

    def carried(self, at: int) -> Summaries:
        """What a fork at entry `at` begins with."""
        made, cover = ([s for s in each if s.stop <= at] for each in (self.made, self.cover))
        return Summaries(made, cover)
