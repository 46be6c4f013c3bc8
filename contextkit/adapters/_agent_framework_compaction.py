"""What policies leave out, as a compaction strategy of Microsoft Agent Framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from contextkit.adapters._agent_framework_forms import message_of, units_of
from contextkit.adapters._framework import Assembled, Bridge, missing

try:
    from agent_framework import Message
except ImportError as error:
    raise missing("agent_framework", "agent-framework", error) from error

if TYPE_CHECKING:
    from contextkit.manager import ContextManager


class ContextCompaction:
    """A compaction strategy: what the policies leave out is excluded, with their reason on each message.

    What a policy puts in another's place is inserted before it; what it adds for one call alone is not
    (the middleware does that). Nothing is recorded. The framework tells a strategy neither the tools nor
    the instructions: `reserve` them in the budget.
    """

    def __init__(self, manager: ContextManager) -> None:
        self._bridge = Bridge(manager, thread="contextkit/compaction")

    async def __call__(self, messages: list[Message]) -> bool:
        """Exclude in place; True where anything changed. Raises `BudgetExceeded`."""
        included = [m for m in messages if not m.additional_properties.get("_excluded")]
        if not included:
            return False
        assembled = await self._bridge.abegin(units_of(None, included))
        made: dict[int, Message] = {}

        def make(message: Any) -> list[Any]:
            new = message_of(message)
            made[id(new)] = new
            return [new]

        shown = assembled.show(make)
        kept = {id(message) for message in shown}
        left = [message for message in included if id(message) not in kept]
        for message in left:
            message.additional_properties["_excluded"] = True
            message.additional_properties["_exclude_reason"] = _why(assembled, included, message)
        for before, new in reversed(_replacing(assembled, included, shown, made)):
            messages.insert(next(i for i, m in enumerate(messages) if m is before), new)
        return bool(left)


def _replacing(
    assembled: Assembled[Any],
    included: Sequence[Message],
    shown: Sequence[Any],
    made: Mapping[int, Message],
) -> list[tuple[Message, Message]]:
    """Messages made to stand in another's place, each with the first one that it stands for."""
    news = iter([message for message in shown if id(message) in made])
    pairs: list[tuple[Message, Message]] = []
    for piece in assembled.call.plan.draft.pieces:
        for _ in piece.shown or ():
            new = next(news)
            if not piece.is_inserted:
                pairs.append((_said_at(assembled, included, piece.start), new))
    return pairs


def _said_at(assembled: Assembled[Any], included: Sequence[Message], seq: int) -> Message:
    first = 0
    for unit in assembled.units:
        if first + len(unit.messages) > seq:
            return cast("Message", unit.items[0])
        first += len(unit.messages)
    return included[-1]


def _why(assembled: Assembled[Any], included: Sequence[Message], message: Message) -> str:
    for decision in assembled.call.ledger.decisions:
        if decision.action in ("drop", "replace"):
            for seq in range(decision.start, decision.stop):
                if _said_at(assembled, included, seq) is message:
                    return f"contextkit {decision.policy}: {decision.why}"
    return "contextkit"
