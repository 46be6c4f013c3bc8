"""Pairing repairs: what a crash or a race left in the log is made valid for the call, never in the log.

A call id used twice is renamed, a result that came late stands after its call, a call that was never
answered gets a stub that says so, a late result whose call has left the window becomes text. All
edits are transient and each leaves its decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import replace as with_fields

from contextkit.draft import Draft
from contextkit.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart

POLICY = "repair"
UNANSWERED = "[No result was recorded for this call.]"


@dataclass(slots=True)
class _Item:
    """One shown message and the range of the log that it stands for."""

    start: int
    stop: int
    message: Message


@dataclass(slots=True)
class _Batch:
    """Consecutive assistant messages with the results that directly follow them."""

    stop: int
    waiting: list[str] = field(default_factory=list[str])
    has_results: bool = False


@dataclass(slots=True)
class _Stray:
    """A result where no call waits for it; `claim` is the earlier batch that does."""

    item: _Item
    result: ToolResultPart
    inside: _Batch | None
    claim: _Batch | None = None


def repair(draft: Draft) -> Draft:
    """The draft with every batch of tool calls whole, each call answered once, in order."""
    draft = _rename_reused_ids(draft)
    batches, strays = _pair(_items(draft))
    for batch in batches:
        for call_id in batch.waiting:
            late = (s for s in strays if s.result.call_id == call_id and s.claim is None)
            stray = next((s for s in late if s.item.start >= batch.stop), None)
            if stray is None:
                draft = _answer(draft, batch.stop, call_id)
            else:
                stray.claim = batch
    for item in {stray.item.start: stray.item for stray in strays}.values():
        draft = _resettle(draft, item, [stray for stray in strays if stray.item is item])
    return draft


def _items(draft: Draft) -> list[_Item]:
    items: list[_Item] = []
    for piece in draft.pieces:
        if piece.is_log:
            entries = draft.log.entries(piece.start, piece.stop)
            items.extend(_Item(e.seq, e.seq + 1, e.message) for e in entries)
        else:
            items.extend(_Item(piece.start, piece.stop, m) for m in draft.shown(piece))
    return items


def _pair(items: list[_Item]) -> tuple[list[_Batch], list[_Stray]]:
    """Batches with the calls nobody answered, and the results that stand where no call waits."""
    batches: list[_Batch] = []
    strays: list[_Stray] = []
    current: _Batch | None = None
    for item in items:
        message = item.message
        if message.role == "assistant":
            if current is None or current.has_results:
                current = _Batch(item.stop)
                batches.append(current)
            if message.tool_calls:
                current.waiting.extend(call.id for call in message.tool_calls)
                current.stop = item.stop
            continue
        for result in message.tool_results:
            if current is not None and result.call_id in current.waiting:
                current.waiting.remove(result.call_id)
                current.has_results = True
                current.stop = item.stop
            else:
                strays.append(_Stray(item, result, current))
        if not message.tool_results or message.is_request:
            current = None
    return [batch for batch in batches if batch.waiting], strays


def _resettle(draft: Draft, item: _Item, strays: list[_Stray]) -> Draft:
    """Results that a batch waits for stand after it, the others become text; the rest stays."""
    orphans: list[Part] = []
    for stray in strays:
        if stray.claim is None:
            text = f"[Result of the earlier tool call {stray.result.call_id}]\n{stray.result.text}"
            orphans.append(TextPart(text))
        else:
            why = f"the result of {stray.result.call_id} came late: it stands after its call"
            draft = _insert(draft, stray.claim.stop, Message("tool", (stray.result,)), why)
    gone = [stray.result for stray in strays]
    rest = [part for part in item.message.parts if not any(part is result for result in gone)]
    why = "a late result whose call has left the window is shown as text"
    batch = strays[0].inside
    if orphans and batch is not None and item.start < batch.stop:
        draft = _insert(draft, batch.stop, Message("user", tuple(orphans)), why)
    else:
        rest = orphans + rest
    if not rest:
        return draft.drop(
            item.start,
            item.stop,
            policy=POLICY,
            why="a late result: it stands after its call",
            sticky=False,
            even_protected=True,
        )
    paired = any(isinstance(part, ToolResultPart) for part in rest)
    role = item.message.role if paired else "user"
    message = with_fields(item.message, parts=tuple(rest), role=role)
    return draft.replace(
        item.start,
        item.stop,
        (message,),
        policy=POLICY,
        why=why,
        sticky=False,
        even_protected=True,
    )


def _insert(draft: Draft, at: int, message: Message, why: str) -> Draft:
    """Directly behind entry `at - 1`: nothing stands between a call and its results."""
    return draft.insert(
        at, (message,), section="history", policy=POLICY, why=why, volatile=False, ahead=True
    )


def _answer(draft: Draft, at: int, call_id: str) -> Draft:
    stub = Message("tool", (ToolResultPart(call_id, UNANSWERED, is_error=True),))
    why = f"call {call_id} was never answered: a stub keeps the batch whole"
    return _insert(draft, at, stub, why).note(why)


def _rename_reused_ids(draft: Draft) -> Draft:
    names: dict[str, str] = {}
    changes: list[tuple[int, int, tuple[Message, ...]]] = []
    for item in _items(draft):
        message = item.message
        for call in message.tool_calls:
            names[call.id] = f"{call.id}_{item.start}" if call.id in names else call.id
        if message.tool_calls or message.tool_results:
            parts = tuple(_renamed(part, names) for part in message.parts)
            if parts != message.parts:
                changes.append((item.start, item.stop, (with_fields(message, parts=parts),)))
    if not changes:
        return draft
    why = "its call id was used before: renamed"
    return draft.replace_each(changes, policy=POLICY, why=why, sticky=False, even_protected=True)


def _renamed(part: Part, names: dict[str, str]) -> Part:
    if isinstance(part, ToolCallPart) and names.get(part.id, part.id) != part.id:
        return with_fields(part, id=names[part.id])
    if isinstance(part, ToolResultPart) and names.get(part.call_id, part.call_id) != part.call_id:
        return with_fields(part, call_id=names[part.call_id])
    return part
