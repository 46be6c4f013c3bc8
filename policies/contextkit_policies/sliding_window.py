"""Sliding window with sinks: the oldest history leaves, in one step, when the high water is reached.

Between two steps nothing moves, so a prompt cache reads the whole prefix; a step drops enough at once
to stay quiet for many turns. The first messages (sinks), the task and everything protected stay;
batches of tool calls leave whole. After Xiao et al., "Efficient Streaming Language Models with
Attention Sinks" (2023), carried over from the KV cache to messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field, model_validator

from contextkit.draft import Draft
from contextkit.log_view import leading_system
from contextkit.piece import Piece
from contextkit.policy import Policy, Stage, Turn


class SlidingWindow(Policy):
    """Drop the oldest history at `high_water` of the input limit, down to `low_water`."""

    kind: ClassVar[str] = "sliding_window"
    stage: ClassVar[Stage] = Stage.SHRINK

    sinks: int = Field(default=2, ge=0, description="Messages after the system that stay")
    low_water: float = Field(
        default=0.6, gt=0, lt=1, description="Share of the input limit that a step leaves"
    )
    high_water: float = Field(
        default=0.9, gt=0, le=1, description="Share of the input limit at which a step is due"
    )
    keep_task: bool = Field(default=True, description="Keep the first user request while it fits")

    @model_validator(mode="after")
    def _check(self) -> SlidingWindow:
        if self.low_water >= self.high_water:
            raise ValueError(f"low_water: must be below high_water ({self.high_water})")
        return self

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Drop from the oldest on; what the window must hold is never touched.

        Where the prompt cache has lapsed a step costs nothing and comes half way between the waters.
        """
        limit = draft.limit_tokens
        water = (self.low_water + self.high_water) / 2 if turn.cold else self.high_water
        if draft.upper_tokens <= water * limit:
            return draft
        why = f"older than the window: the call passed {water:.0%} of {limit:,} tokens"
        opening, stop = leading_system(draft.log), draft.log.stop
        sinks = _group_end(draft, opening + self.sinks) if self.sinks else opening
        task = _group(draft, turn.task) if self.keep_task and turn.task >= 0 else (0, 0)
        draft = self._shed(draft, sinks, stop, task, self.low_water * limit, why)
        crowded = f"the window of {limit:,} tokens is too small for it"
        if draft.upper_tokens > limit:
            draft = self._shed(draft, opening, sinks, task, limit, f"a sink, but {crowded}")
        if draft.upper_tokens > limit and task[1]:
            draft = self._shed(draft, *task, (0, 0), limit, f"the first task, but {crowded}")
        return draft

    def _shed(
        self, draft: Draft, start: int, stop: int, spare: tuple[int, int], target: float, why: str
    ) -> Draft:
        """Drop whole groups from `start` on until the call is at `target`, `spare` left alone."""
        while draft.upper_tokens > target:
            cut = _find_cut(draft, start, stop, spare, draft.upper_tokens - target)
            if cut is None:
                break
            for low, high in _joined(_outside(draft, start, cut, spare)):
                draft = draft.drop(low, high, policy=self.kind, why=why)
        return draft


def _joined(ranges: Iterator[tuple[Piece, int, int]]) -> list[tuple[int, int]]:
    """Neighbouring ranges as one, so that a long history leaves in few edits."""
    joined: list[tuple[int, int]] = []
    for _, low, high in ranges:
        if joined and joined[-1][1] == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined


def _outside(
    draft: Draft, start: int, stop: int, spare: tuple[int, int]
) -> Iterator[tuple[Piece, int, int]]:
    """What may be dropped of a range, `spare` left out."""
    for piece, low, high in draft.free(start, stop):
        if spare[0] <= low < spare[1] or low <= spare[0] < high:
            if low < spare[0] and piece.is_log:
                yield piece, low, min(high, spare[0])
            if high > spare[1] and piece.is_log:
                yield piece, max(low, spare[1]), high
        else:
            yield piece, low, high


def _find_cut(
    draft: Draft, start: int, stop: int, spare: tuple[int, int], excess: float
) -> int | None:
    """The first group boundary up to which enough can be dropped (or all, where it is not enough)."""
    freed = 0
    cut = None
    for piece, low, high in _outside(draft, start, stop, spare):
        tokens = draft.upper(piece.measure if not piece.is_log else draft.log.span(low, high))
        if freed + tokens >= excess:
            if piece.is_log:
                high = _bisect(draft, low, high, excess - freed)
            return _group_end(draft, high)
        freed += tokens
        cut = high
    return None if cut is None else _group_end(draft, cut)


def _bisect(draft: Draft, low: int, high: int, excess: float) -> int:
    """The smallest end of a range from `low` on that holds `excess` tokens; O(log n) look-ups."""
    start = low
    while low + 1 < high:
        middle = (low + high) // 2
        if draft.upper(draft.log.span(start, middle)) >= excess:
            high = middle
        else:
            low = middle
    return high


def _group_end(draft: Draft, seq: int) -> int:
    """The first group boundary at or after `seq`."""
    while seq < draft.log.stop and draft.log.entry(seq).group != seq:
        seq += 1
    return min(seq, draft.log.stop)


def _group(draft: Draft, seq: int) -> tuple[int, int]:
    """The whole group that an entry belongs to."""
    return draft.log.entry(seq).group, _group_end(draft, seq + 1)
