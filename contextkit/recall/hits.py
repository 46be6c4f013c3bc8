"""What a search gives back: passages, best first, with their scores and why they were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contextkit.recall.passages import Passage
from contextkit.recall.search import Found


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found, and why."""

    passage: Passage
    score: float
    rank: int
    """Counted from 1."""
    why: str

    @property
    def handle(self) -> str:
        return self.passage.handle


def ranked(found: Found, passages: Sequence[Passage], beside: Sequence[Passage]) -> list[Hit]:
    """The passages of the rows that were found and the summaries beside them, in one order."""
    rows = list(zip(passages, found.scores, found.reasons, strict=True))
    told = [
        (summary, score, f"a summary of level {summary.level}")
        for summary, score in zip(beside, found.told, strict=True)
    ]
    hits = sorted(rows + told, key=lambda hit: -hit[1])
    return [Hit(passage, score, rank, why) for rank, (passage, score, why) in enumerate(hits, 1)]
