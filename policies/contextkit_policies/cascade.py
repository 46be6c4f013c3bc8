"""Cascade: the oldest history is told by summaries in levels, in one step, when the high water is reached.

Summaries are built beside the conversation, over whole groups of the log, each checked against what it
was made from; a call that fits waits for none of them and pays for none. A step puts those that exist in
place of what they stand for, the oldest first, until the low water is reached; what is pinned, the sinks
(the first messages, as in `sliding_window`), the task and the request stay word for word. Passages come
first: the more of the limit is set aside for them, the less of the rest summaries take; where that holds
none, history leaves without one. Levels after Maharana's and Sarthi's trees (RAPTOR, arXiv 2401.18059),
kept along the log so that a handle always leads to the original messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from contextkit.draft import Draft
from contextkit.log_view import leading_system
from contextkit.piece import Piece, entry_handle
from contextkit.policy import Policy, Stage, Turn
from contextkit.summaries.build import Extractive
from contextkit.summaries.by_model import ByModel, Parent
from contextkit.summaries.in_force import Summaries
from contextkit.summaries.values import Shape, Summarizer
from contextkit.summary import Summary
from contextkit_policies._telling import Span, Told, cut, find, fixed_tokens, group_end

SECTION = "summaries"
SHARE, LEAST, MOST = 48, 128, 1024
"""A summary takes one in so many of the input limit where nothing is said, between so many tokens."""
MOST_SHARE = 0.75
"""Of what a step leaves free, what summaries take at the most, where the budget has no share for them.

Times the part of the limit that is not set aside for passages, which tell of the same history.
"""


@dataclass(frozen=True, slots=True)
class _Step:
    """A step: the summaries in force, what stays, where it ends, what all summaries may take."""

    tiles: tuple[Summary, ...]
    spare: tuple[Span, ...]
    target: float
    most: float
    least: int
    """Summaries that stay however little they may take: none beside passages."""
    why: str


class Cascade(Policy):
    """Put summaries in place of the oldest history at `high_water`, down to `low_water`."""

    kind: ClassVar[str] = "cascade"
    stage: ClassVar[Stage] = Stage.SHRINK
    sections: ClassVar[tuple[str, ...]] = (SECTION,)

    fan_out: int = Field(
        default=4, ge=2, le=64, description="Times as many tokens as it takes that a summary tells"
    )
    levels: int = Field(default=4, ge=1, le=8, description="Levels of summaries of summaries")
    target_tokens: int | None = Field(
        default=None, ge=32, description="Tokens of a summary; by default a 48th of the input limit"
    )
    method: Literal["extractive", "model"] = Field(
        default="extractive", description="Sentences word for word, or the backend's model, checked"
    )
    background: bool = Field(
        default=True, description="Build beside the conversation; otherwise when a step is due"
    )
    low_water: float = Field(
        default=0.6, gt=0, lt=1, description="Share of the input limit that a step leaves"
    )
    high_water: float = Field(
        default=0.9, gt=0, le=1, description="Share of the input limit at which a step is due"
    )
    sinks: int = Field(
        default=2, ge=0, description="Messages after the system that stay as they are"
    )
    keep_task: bool = Field(default=True, description="Keep the first user request while it fits")
    timeout_s: float = Field(
        default=60, gt=0, description="Longest wait for one summary of a model"
    )

    @model_validator(mode="after")
    def _check(self) -> Cascade:
        if self.low_water >= self.high_water:
            raise ValueError(f"low_water: must be below high_water ({self.high_water})")
        return self

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Put the summaries that exist in place of the oldest history, where a step is due.

        Where the prompt cache has lapsed a step costs nothing and comes half way between the waters.
        """
        summaries = turn.summaries
        if summaries is None:
            return draft
        water = (self.low_water + self.high_water) / 2 if turn.cold else self.high_water
        is_due = draft.upper_tokens > water * draft.limit_tokens
        moment = turn.n_calls, draft.log.stop
        if is_due and self.background:
            summaries.in_force(moment)  # what a build that starts now makes is for later calls
        self._build(draft, turn, summaries, is_due)
        failure = summaries.failure()
        if failure is not None:
            draft = draft.note(
                f"cascade: the last build failed: {type(failure).__name__}: {failure}"
            )
        if not is_due:
            return draft
        why = f"the call passed {water:.0%} of {draft.limit_tokens:,} tokens"
        return self._stepped(draft, turn, summaries.in_force(moment), why)

    def settle(self, draft: Draft, turn: Turn) -> Draft:
        """Leave summaries out, the oldest first, where without all of them the call would not fit."""
        why = f"a summary, but the window of {draft.limit_tokens:,} tokens is too small for it"
        for piece in self._summaries(draft):
            if draft.upper_tokens <= draft.limit_tokens:
                break
            draft = draft.drop(piece.start, piece.stop, policy=self.kind, why=why)
        return draft

    def _build(self, draft: Draft, turn: Turn, summaries: Summaries, is_due: bool) -> None:
        """Have the summaries made that lack: beside the conversation, or now that they are needed."""
        shape = self._shape(turn)
        newest = draft.log.entry(draft.log.stop - 1).group
        start = max(summaries.reach, leading_system(draft.log))
        lacking = draft.log.span(min(start, newest), newest)
        if draft.upper(lacking) < shape.leaf_tokens:
            return
        if self.background:
            summaries.start(shape, self._ways(draft, turn))
        elif is_due:
            summaries.build(shape, self._ways(draft, turn))

    def _shape(self, turn: Turn) -> Shape:
        limit = turn.limit_tokens
        target = min(MOST, max(limit // SHARE, min(LEAST, limit // 8), 16))
        target = self.target_tokens or target
        return Shape(self.fan_out, self.levels, target)

    def _ways(self, draft: Draft, turn: Turn) -> list[Summarizer]:
        if self.method == "extractive" or turn.backend is None or turn.memo is None:
            return [Extractive()]
        parent = None
        if turn.last_call is not None:
            at = turn.new_from
            reply = draft.log.entry(at).message if at < draft.log.stop else None
            answered = reply is not None and reply.role == "assistant" and not reply.tool_calls
            parent = Parent.of(turn.last_call, reply if answered else None)
        return [ByModel(turn.backend, turn.memo, turn.window, self.timeout_s, parent), Extractive()]

    def _stepped(self, draft: Draft, turn: Turn, tiles: tuple[Summary, ...], why: str) -> Draft:
        target = self.low_water * draft.limit_tokens
        spare = self._spare(draft, turn)
        left = min(1.0, draft.limit_tokens / turn.limit_tokens)
        most = MOST_SHARE * left * (target - fixed_tokens(draft, spare))
        if SECTION in turn.shares:
            most = min(turn.share_tokens(SECTION), target)
        step = _Step(tiles, spare, target, most, int(left == 1), why)
        done = self._told(self._restored(draft, step), step)
        if done.upper_tokens <= target:
            return done
        return self._told(draft, step)

    def _told(self, draft: Draft, step: _Step) -> Draft:
        """Summaries in place of what they stand for, the oldest first, until the call is at the target.

        Where it is not reached so, the oldest of them leave: their entries are found by `retrieve`.
        """
        for tile in step.tiles:
            if draft.upper_tokens <= step.target:
                return draft
            told = find(draft, tile, step.spare)
            if told is None or told.after_tokens >= told.before_tokens:
                continue
            if not step.least and told.after_tokens > step.most:
                draft = self._shed(draft, told, step.target)
                continue
            draft = self._tell(draft, told, step.why)
            draft = self._thinned(draft, self._shown_tokens(draft) - step.most, step.least)
        return self._thinned(draft, draft.upper_tokens - step.target, 1)

    def _shed(self, draft: Draft, told: Told, target: float) -> Draft:
        """Without the oldest groups of what a summary tells that has no room, until `target`."""
        why = f"{told.summary.handle} tells it, but there is no room for a summary beside passages"
        for start, stop in told.ranges:
            for piece, low, high in [*draft.free(start, stop)]:
                excess = draft.upper_tokens - target
                if excess <= 0:
                    return draft
                high = cut(draft, low, high, excess) if piece.is_log else high
                draft = draft.drop(low, high, policy=self.kind, why=why)
        return draft

    def _thinned(self, draft: Draft, excess: float, least: int) -> Draft:
        """Without the oldest summaries that take `excess` tokens; the newest `least` stay."""
        pieces = self._summaries(draft)
        for piece in pieces[: len(pieces) - least]:
            if excess <= 0:
                break
            excess -= draft.upper(piece.measure)
            why = "the oldest summary: a step leaves no room for it"
            draft = draft.drop(piece.start, piece.stop, policy=self.kind, why=why)
        return draft

    def _shown_tokens(self, draft: Draft) -> int:
        return sum(draft.upper(piece.measure) for piece in self._summaries(draft))

    def _summaries(self, draft: Draft) -> list[Piece]:
        """The summaries in the draft that may leave it, the oldest first."""
        return [p for p in draft.pieces if p.shown and p.policy == self.kind and not p.pinned]

    def _restored(self, draft: Draft, step: _Step) -> Draft:
        """Summaries of what had left altogether, the newest first, while there is room for them."""
        shown = self._shown_tokens(draft)
        for tile in reversed(step.tiles):
            told = find(draft, tile, step.spare)
            if told is None or told.before_tokens:
                continue
            shown += told.after_tokens
            if shown > step.most:
                break
            draft = self._tell(draft, told, "it had left the call before it was summarised")
        return draft

    def _tell(self, draft: Draft, told: Told, why: str) -> Draft:
        summary = told.summary
        covered = entry_handle(summary.start, summary.stop)
        first, *rest = told.ranges
        draft = draft.replace(
            *first,
            (told.message,),
            policy=self.kind,
            why=f"{summary.handle} ({summary.method}) tells {covered}: {why}",
            section=SECTION,
            detail=summary.handle,
        )
        for low, high in rest:
            draft = draft.drop(low, high, policy=self.kind, why=f"told by {summary.handle} above")
        return draft

    def _spare(self, draft: Draft, turn: Turn) -> tuple[Span, ...]:
        """What stays word for word while it fits: the sinks, and the group of the first request.

        Measured by the whole limit, so that it stays the same whatever is set aside for passages.
        """
        first = leading_system(draft.log)
        spans = [(first, group_end(draft, first + self.sinks))] if self.sinks else []
        if self.keep_task and turn.task >= 0:
            start = draft.log.entry(turn.task).group
            spans.append((start, group_end(draft, start + 1)))
        quarter = turn.limit_tokens // 4
        return tuple(span for span in spans if draft.upper(draft.log.span(*span)) <= quarter)
