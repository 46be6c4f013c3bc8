"""How a summary would stand in a draft: in the first of its ranges, for all of them, beside what stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contextkit.draft import Draft
from contextkit.messages import Message
from contextkit.piece import entry_handle
from contextkit.summaries.build import Extractive
from contextkit.summaries.said import TOOLS_TOLD, render
from contextkit.summary import Summary

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Told:
    """A summary where it would stand, and the tokens there before and after."""

    summary: Summary
    message: Message
    ranges: tuple[Span, ...]
    before_tokens: int
    after_tokens: int


def fixed_tokens(draft: Draft, spare: Sequence[Span]) -> int:
    """What a step takes nothing of: the frame, what is pinned or protected, and the spare ranges."""
    total, at = draft.upper(draft.frame), 0
    for start, stop in sorted([*_fixed(draft), *spare]):
        start = max(at, start)
        if start < stop:
            total += draft.upper(draft.log.span(start, stop))
            at = stop
    return total


def cut(draft: Draft, start: int, stop: int, excess: float) -> int:
    """The first group boundary behind `start` up to which `excess` tokens are said, at most `stop`."""
    at = start
    while at < stop and draft.upper(draft.log.span(start, at)) < excess:
        at = group_end(draft, at + 1)
    return min(at, stop)


def group_end(draft: Draft, seq: int) -> int:
    """The first group boundary at or after `seq`."""
    while seq < draft.log.stop and draft.log.entry(seq).group != seq:
        seq += 1
    return min(seq, draft.log.stop)


def find(draft: Draft, summary: Summary, spare: Sequence[Span]) -> Told | None:
    """Where a summary would stand; None where it stands already, says nothing or meets another edit."""
    inside = [
        piece
        for piece in draft.pieces
        if piece.start < summary.stop and piece.stop > summary.start and not piece.is_inserted
    ]
    if summary.is_raw or any(piece.detail == summary.handle for piece in inside):
        return None
    if any(p.shown and (p.start < summary.start or p.stop > summary.stop) for p in inside):
        return None
    ranges = tuple(_free(draft, summary, spare))
    if not ranges:
        return None
    before = 0
    for piece in inside:
        for low, high in ranges:
            start, stop = max(low, piece.start), min(high, piece.stop)
            if start < stop and piece.shown != ():
                before += draft.upper(
                    draft.log.span(start, stop) if piece.is_log else piece.measure
                )
    message = _message(summary)
    return Told(summary, message, ranges, before, draft.upper(draft.counter.measure(message)))


def _free(draft: Draft, summary: Summary, spare: Sequence[Span]) -> Iterator[Span]:
    """The parts of a summary's range that may be told by it, in order."""
    at = summary.start
    for start, stop in sorted([*_fixed(draft), *spare]):
        if stop <= at or start >= summary.stop:
            continue
        if at < start:
            yield at, start
        at = stop
    if at < summary.stop:
        yield at, summary.stop


def _fixed(draft: Draft) -> list[Span]:
    """What is protected or pinned."""
    fixed = [(guard.start, guard.stop) for guard in draft.protected]
    return fixed + [(p.start, p.stop) for p in draft.pieces if p.pinned and not p.is_inserted]


def _message(summary: Summary) -> Message:
    notes: list[str] = []
    if summary.method != Extractive.kind:
        notes.append(f"told by {summary.model or 'a model'}")
        if summary.tainted:
            notes.append(TOOLS_TOLD)
    covered = entry_handle(summary.start, summary.stop)
    return render(summary.text, covered, "; ".join(notes))
