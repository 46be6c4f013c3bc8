"""Cacheable prefix: what never changes first, and cache points where the next call will read again.

Order: tools, system, stable history, what is made for this call only. Cache points follow the dated
rules of the model (`contextkit/data/cache_rules.yaml`): the end of the system, the end of what
stays when older history leaves, the end of the call before (its entry is found there even when many
blocks came since), the end of what will be repeated.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from contextkit.draft import Draft
from contextkit.instructions import KIND
from contextkit.log_view import leading_system
from contextkit.policy import Policy, Stage, Turn

FEWEST_GAPS = 4
"""Pauses that must have been seen before an hour is considered."""
MAX_POINTS = 4
"""The most that any provider takes; a rule may allow fewer."""


class CacheablePrefix(Policy):
    """Sort the tools by name and mark where the provider should remember the prefix."""

    kind: ClassVar[str] = "cacheable_prefix"
    stage: ClassVar[Stage] = Stage.ARRANGE

    sort_tools: bool = Field(
        default=True,
        description="Send tools by name, so that another order does not move the prefix",
    )
    ttl: Literal["auto", "5m", "1h"] = Field(
        default="auto",
        description="How long the provider keeps an entry, where it can be chosen; auto: an hour "
        "where the thread's pauses make it the cheaper one",
    )

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Set at most as many cache points as the provider takes, none inside what will change."""
        if self.sort_tools:
            tools = tuple(sorted(draft.tools, key=lambda tool: (tool.name, tool.digest)))
            draft = draft if tools == draft.tools else draft.with_tools(tools)
        rule = turn.rule
        if rule is not None and rule.mode != "explicit":
            return draft
        most = MAX_POINTS if rule is None else min(MAX_POINTS, rule.max_cache_points)
        system = leading_system(draft.log)
        if _is_restless(draft, turn, system):
            tools_only = ((-1, "5m", "the end of the tools"),) if draft.tools else ()
            return draft.with_cache_points(tools_only)
        points: dict[int, str] = {}
        if system or draft.tools:
            points[system - 1] = "the end of the system" if system else "the end of the tools"
        stable = _stable_end(draft)
        if stable > system:
            points[stable - 1] = "the end of what the next call repeats"
        if system < turn.new_from < stable:
            points[turn.new_from - 1] = "the end of the call before"
        head = _head_end(draft, turn, system)
        if system < head < stable:
            points.setdefault(head - 1, "the end of what stays when older history leaves")
        chosen = sorted(points.items(), key=lambda point: -point[0])[:most]
        ttl = _cheaper(draft, turn) if self.ttl == "auto" else self.ttl
        return draft.with_cache_points(tuple((seq, ttl, why) for seq, why in sorted(chosen)))


def _is_restless(draft: Draft, turn: Turn, system: int) -> bool:
    """Whether the instructions changed with the call before and with this one too.

    Then nothing behind them is expected to be read again, and writing it would only cost more.
    """
    before = turn.last_call
    if before is None or before.ledger.prefix.policy != KIND:
        return False
    return draft.messages[:system] != before.messages[:system]


def _cheaper(draft: Draft, turn: Turn) -> str:
    """An hour, where pauses that only it outlives cost more re-writing than its dearer writes.

    A pause writes the whole call again; a call writes what is new. The call is taken to be as many
    times as large as what is new as it shows turns.
    """
    names = {ttl.name for ttl in turn.rule.ttls} if turn.rule else set[str]()
    if turn.rule is None or not {"5m", "1h"} <= names or len(turn.gaps_s) < FEWEST_GAPS:
        return "5m"
    short, long = turn.rule.ttl("5m"), turn.rule.ttl("1h")
    lost = sum((short.seconds or 0) < gap <= (long.seconds or 0) for gap in turn.gaps_s)
    turns = sum([piece.stop - piece.start for piece in draft.pieces if piece.shown is None]) / 2
    saved = (short.write - turn.rule.read_multiplier) * turns * lost / len(turn.gaps_s)
    return "1h" if saved > long.write - short.write else "5m"


def _head_end(draft: Draft, turn: Turn, system: int) -> int:
    """One past the last entry that no step has moved yet, or else past the first task."""
    for piece in draft.pieces:
        if piece.shown is not None and piece.start >= system:
            return piece.start
    head = turn.task + 1
    while 0 < head < draft.log.stop and draft.log.entry(head).group != head:
        head += 1
    return head


def _stable_end(draft: Draft) -> int:
    """One past the last entry before the first item that is made for this call only."""
    for piece in draft.pieces:
        if piece.volatile:
            return piece.start
    return draft.log.stop
