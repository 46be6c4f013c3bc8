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


def repair(draft: Draft) -> Draft:
    """The draft with every batch of tool calls whole, each call answered once, in order."""
    draft = _rename_reused_ids(draft)
    batches, strays = _pair(_items(draft))
    claims: dict[str, _Batch] = {}
    for batch in batches:
        for call_id in batch.waiting:
            if any(r.call_id == call_id and i.start >= batch.stop for i, r in strays):
                claims[call_id] = batch
            else:
                draft = _answer(draft, batch.stop, call_id)
    for item in {item.start: item for item, _ in strays}.values():
        stray = {r.call_id for i, r in strays if i is item}
        draft = _resettle(draft, item, stray, claims)
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


def _pair(items: list[_Item]) -> tuple[list[_Batch], list[tuple[_Item, ToolResultPart]]]:
    """Batches with the calls nobody answered, and the results that stand where no call waits."""
    batches: list[_Batch] = []
    strays: list[tuple[_Item, ToolResultPart]] = []
    current: _Batch | None = None
    for item in items:
        message = item.message
        if message.role == "assistant":
            if current is None or current.has_results:
                current = _Batch(item.stop)
                batches.append(current)
            current.waiting.extend(call.id for call in message.tool_calls)
            current.stop = item.stop
            continue
        for result in message.tool_results:
            if current is not None and result.call_id in current.waiting:
                current.waiting.remove(result.call_id)
                current.has_results = True
                current.stop = item.stop
            else:
                strays.append((item, result))
        if message.is_request or not message.tool_results:
            current = None
    return [batch for batch in batches if batch.waiting], strays


def _resettle(draft: Draft, item: _Item, stray: set[str], claims: dict[str, _Batch]) -> Draft:
    """Results that a batch waits for stand after it; the others become text; the rest stays."""
    parts = item.message.parts
    for part in parts:
        if isinstance(part, ToolResultPart) and part.call_id in stray and part.call_id in claims:
            why = f"the result of {part.call_id} came late: it stands after its call"
            draft = draft.insert(
                claims[part.call_id].stop,
                (Message("tool", (part,)),),
                section="history",
                policy=POLICY,
                why=why,
            )
    rest = tuple(p for part in parts if (p := _settled(part, stray, claims)) is not None)
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
    message = with_fields(item.message, parts=rest, role=item.message.role if paired else "user")
    return draft.replace(
        item.start,
        item.stop,
        (message,),
        policy=POLICY,
        why="a late result whose call has left the window is shown as text",
        sticky=False,
        even_protected=True,
    )


def _settled(part: Part, stray: set[str], claims: dict[str, _Batch]) -> Part | None:
    if not isinstance(part, ToolResultPart) or part.call_id not in stray:
        return part
    if part.call_id in claims:
        return None
    return TextPart(f"[Result of the earlier tool call {part.call_id}]\n{part.text}")


def _answer(draft: Draft, at: int, call_id: str) -> Draft:
    stub = Message("tool", (ToolResultPart(call_id, UNANSWERED, is_error=True),))
    why = f"call {call_id} was never answered: a stub keeps the batch whole"
    draft = draft.insert(at, (stub,), section="history", policy=POLICY, why=why)
    return draft.note(why)


def _rename_reused_ids(draft: Draft) -> Draft:
    seen: set[str] = set()
    names: dict[str, str] = {}
    for item in _items(draft):
        fresh = {
            call.id: f"{call.id}_{item.start}"
            for call in item.message.tool_calls
            if call.id in seen
        }
        names.update({call.id: fresh.get(call.id, call.id) for call in item.message.tool_calls})
        seen.update(call.id for call in item.message.tool_calls)
        parts = tuple(_renamed(part, names) for part in item.message.parts)
        if parts != item.message.parts:
            draft = draft.replace(
                item.start,
                item.stop,
                (with_fields(item.message, parts=parts),),
                policy=POLICY,
                why="its call id was used before: renamed",
                sticky=False,
                even_protected=True,
            )
    return draft


def _renamed(part: Part, names: dict[str, str]) -> Part:
    if isinstance(part, ToolCallPart) and names.get(part.id, part.id) != part.id:
        return with_fields(part, id=names[part.id])
    if isinstance(part, ToolResultPart) and names.get(part.call_id, part.call_id) != part.call_id:
        return with_fields(part, call_id=names[part.call_id])
    return part
