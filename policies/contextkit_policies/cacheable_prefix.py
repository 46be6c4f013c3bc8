"""Cacheable prefix: what never changes first, and cache points where the next call will read again.

Order: tools, system, stable history, what is made for this call only. Cache points follow the dated
rules of the model (`contextkit/data/cache_rules.yaml`): the end of the system, the end of the call
before (its entry is found there even when many blocks came since), the end of what will be repeated.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from contextkit.draft import Draft
from contextkit.log_view import leading_system
from contextkit.policy import Policy, Stage, Turn

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
    ttl: Literal["5m", "1h"] = Field(
        default="5m", description="How long the provider keeps an entry, where it can be chosen"
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
        points: dict[int, str] = {}
        if system or draft.tools:
            points[system - 1] = "the end of the system" if system else "the end of the tools"
        stable = _stable_end(draft)
        if stable > system:
            points[stable - 1] = "the end of what the next call repeats"
        if system < turn.new_from < stable:
            points[turn.new_from - 1] = "the end of the call before"
        chosen = sorted(points.items(), key=lambda point: -point[0])[:most]
        return draft.with_cache_points(tuple((seq, self.ttl, why) for seq, why in sorted(chosen)))


def _stable_end(draft: Draft) -> int:
    """One past the last entry before the first item that is made for this call only."""
    for piece in draft.pieces:
        if piece.volatile:
            return piece.start
    return draft.log.stop
