"""When an edit is made: now, or later, by what it costs under the provider's prompt cache.

Policies propose; an edit of what an earlier call has sent moves the prefix, and everything behind it is
written again. The scheduler compares that price with what it costs to wait: the reads of what the edit
would free. It puts the edit off until waiting has cost as much as moving (the rule of rent or buy),
then makes all that have gathered at once. It never waits beyond `hard_water`, for an edit that the
limit needs, or where the cache has lapsed and moving is free. See docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from contextkit.draft import Draft
from contextkit.piece import Piece, merge, part
from contextkit.policy import Turn
from contextkit.prefix import measure_runs
from contextkit.pricing import CacheRule, forecast
from contextkit.seal import Sent

FEWEST_TURNS = 4
"""Calls that a thread is expected to make still, however young it is."""


class Schedule(BaseModel):
    """Put edits of the cached prefix off until they pay; nothing is put off without cache rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hard_water: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Share of the input limit above which every proposed edit is made at once",
    )
    expected_turns: int | None = Field(
        default=None,
        ge=1,
        description="Calls still to come; by default as many as the thread has made",
    )

    def settle(self, before: Draft, after: Draft, turn: Turn, sent: Sent | None) -> Draft:
        """`after`, or `after` with the former form of everything that was sent already.

        `before` is the draft that no policy has seen. What is new in this turn keeps its edits.
        """
        rule = turn.rule
        if sent is None or rule is None or turn.cold or not _is_cached(rule, after):
            return after
        moved = _shared(sent, after)
        if moved is None or sent.tools_digest != after.tools_digest:
            return after
        pieces = _spliced(before.pieces, after.pieces, turn.new_from, after)
        if pieces is None:
            return after
        held = after.changed(pieces=pieces)
        if _shared(sent, held) is not None or not self._fits(held):
            return after
        freed = _tokens(held) - _tokens(after)
        waiting = freed * rule.read_multiplier
        whole = after.counter.tokens(measure_runs(sent.stable, after.counter.zero))
        price = _billed(rule, after, moved, sent) - _billed(rule, held, whole, sent)
        if freed <= 0 or self._pays(price, waiting, sent, turn, rule):
            return after
        sticky = _spliced(before.sticky, after.sticky, turn.new_from, after)
        if sticky is None:
            return after
        held = held.changed(
            sticky=sticky,
            held_tokens=sent.pace.held_tokens + waiting,
            notes=(*held.notes, f"an edit that frees {freed:,} tokens waits until it pays"),
        )
        return after if held.faults else held

    def _fits(self, held: Draft) -> bool:
        return held.upper_tokens <= self.hard_water * held.limit_tokens

    def _pays(self, price: float, waiting: float, sent: Sent, turn: Turn, rule: CacheRule) -> bool:
        """Whether waiting has cost the price of moving, and the reads to come are worth it."""
        turns = float(self.expected_turns or max(FEWEST_TURNS, turn.n_calls))
        lapses = sent.pace.share_over(rule.ttl(sent.ttl or None).seconds)
        if lapses:
            turns = min(turns, 1 / lapses)
        return sent.pace.held_tokens + waiting >= price and waiting * turns >= price


def _shared(sent: Sent, draft: Draft) -> int | None:
    """Tokens up to where a call parts from the one before; None where it goes on from it."""
    shared = draft.shared(sent.runs)
    if shared.is_whole or draft.shared(sent.stable).is_whole:
        return None
    return draft.counter.tokens(shared.measure)


def _is_cached(rule: CacheRule, draft: Draft) -> bool:
    """Whether the provider keeps anything of this call: explicit caches need a cache point."""
    return rule.mode == "implicit" or (rule.mode == "explicit" and bool(draft.cache_points))


def _tokens(draft: Draft) -> int:
    return draft.counter.tokens(draft.measure)


def _billed(rule: CacheRule, draft: Draft, shared: int, sent: Sent) -> float:
    """The input in tokens at the uncached price, if all of it is cached that can be."""
    total = _tokens(draft)
    expected = forecast(
        rule,
        input_tokens=total,
        shared_prefix_tokens=min(total, shared + draft.counter.tokens(draft.frame)),
        last_cache_point_tokens=total,
        ttl=sent.ttl or None,
    )
    return expected.relative_cost * total


def _spliced(
    before: Sequence[Piece], after: Sequence[Piece], at: int, draft: Draft
) -> tuple[Piece, ...] | None:
    """`before` up to entry `at`, then `after`; None where an edit of `after` reaches over it."""
    if any(piece.action == "move" or (piece.volatile and piece.start < at) for piece in after):
        return None
    new: list[Piece] = []
    for piece in reversed(after):
        if piece.start < at:
            if piece.stop > at and piece.shown:
                return None
            if piece.stop > at:
                new.append(part(piece, at, piece.stop, draft.log))
            break
        new.append(piece)
    old: list[Piece] = []
    for piece in before:
        if piece.start >= at:
            break
        old.append(piece if piece.stop <= at else part(piece, piece.start, at, draft.log))
    joint = merge((*old[-1:], *new[:-2:-1]), draft.log)
    return (*old[:-1], *joint, *new[-2::-1])
