"""Sealing: a draft becomes a call, or an error that names what does not fit. Nothing is cut silently."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contextkit import pricing
from contextkit.call import CachePoint, Call
from contextkit.draft import Draft
from contextkit.errors import BudgetExceeded, InvalidMessage, PolicyError
from contextkit.ledger import CacheForecast, Decision, Ledger, Prefix
from contextkit.messages import Message, ToolResultPart
from contextkit.piece import Piece, split
from contextkit.policy import Turn
from contextkit.prefix import Run, compare, measure_runs
from contextkit.tokens import add

RECENT = 16
"""Gaps between calls that are remembered."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the calls of a thread follow each other, and what edits that wait have cost."""

    gaps_s: tuple[float, ...] = ()
    """Seconds between the latest calls, oldest first."""
    held_tokens: float = 0.0
    """Reads paid so far for edits that were put off, in tokens at the uncached price."""

    def after(self, gap_s: float | None, held_tokens: float) -> Pace:
        """The pace once another call was recorded."""
        gaps = self.gaps_s if gap_s is None else (*self.gaps_s, round(max(0.0, gap_s), 1))
        return Pace(gaps[-RECENT:], held_tokens)

    def share_over(self, seconds: float | None) -> float:
        """Share of the gaps that were longer; 0 where none is known."""
        if seconds is None or not self.gaps_s:
            return 0.0
        return sum(gap > seconds for gap in self.gaps_s) / len(self.gaps_s)


@dataclass(frozen=True, slots=True)
class Sent:
    """The call before this one, as far as a prompt cache remembers it."""

    runs: tuple[Run, ...]
    """What it showed, as `prefix.runs` gives it."""
    stable: tuple[Run, ...]
    """The part of it before the first item that was made for that call only."""
    tools_digest: str
    at: float
    """When it was recorded, seconds since the epoch."""
    ttl: str = ""
    """How long its last cache point holds, by the provider's name for it; empty: the default."""
    pace: Pace = Pace()


@dataclass(slots=True, eq=False)
class Plan:
    """What recording a sealed call commits, once."""

    thread: Any
    draft: Draft
    base_version: int
    n_entries: int
    """Entries in the log when the draft was made; the input follows them."""
    is_recorded: bool = False


def check_budget(draft: Draft) -> None:
    """Raises `BudgetExceeded` naming the largest pieces that must stay."""
    needed = draft.upper_tokens
    if needed <= draft.limit_tokens:
        return
    rows = sorted(
        (
            (p.handle, draft.upper(p.measure), _stays(draft, p))
            for p in draft.pieces
            if p.shown != ()
        ),
        key=lambda row: -row[1],
    )
    frame = draft.upper(draft.frame)
    if frame > draft.limit_tokens // 2:
        rows.insert(0, ("frame", frame, f"{len(draft.tools)} tool schemas and the template"))
    listed = "; ".join(f"{handle} {tokens:,} ({why})" for handle, tokens, why in rows[:4])
    raise BudgetExceeded(
        f"{needed:,} tokens must be sent, {draft.limit_tokens:,} fit (window without the reply "
        f"reserve). Largest: {listed}. {_remedy(draft, rows)}",
        needed_tokens=needed,
        limit_tokens=draft.limit_tokens,
        pieces=tuple(rows),
    )


def _stays(draft: Draft, piece: Piece) -> str:
    guard = draft.is_protected(piece.start, piece.stop)
    if guard:
        return guard.why
    if piece.section == "system":
        return "the system message"
    return "pinned" if piece.pinned else "no policy left it out"


def _remedy(draft: Draft, rows: Sequence[tuple[str, int, str]]) -> str:
    if any(why == "no policy left it out" for _, _, why in rows):
        return (
            "Add a policy that leaves out older history (sliding_window), or raise budget.window."
        )
    if any(m.tool_results for p in draft.pieces for m in draft.shown(p)):
        return (
            "Raise budget.window, lower budget.reply_reserve, or add tool_results so that a large result "
            "is offloaded behind a handle."
        )
    return "Raise budget.window, lower budget.reply_reserve, or shorten what must stay."


def seal(
    draft: Draft,
    turn: Turn,
    *,
    sent: Sent | None = None,
    gap_s: float | None = None,
    plan: Plan | None = None,
) -> Call:
    """The call that a draft makes. Raises `BudgetExceeded`; `PolicyError` for an invalid result."""
    check_budget(draft)
    if all(message.is_empty for message in draft.messages):
        raise InvalidMessage(
            f"thread {turn.thread!r} has nothing to say: its messages are empty; give an input"
        )
    _check_request(draft, turn.request)
    if draft.faults:
        raise PolicyError(f"the policies left an invalid call: {'; '.join(draft.faults[:3])}")
    messages = draft.messages
    tools_digest = draft.tools_digest
    prefix = _prefix(draft, turn, sent, tools_digest)
    points = _cache_points(draft)
    n_entries = plan.n_entries if plan else draft.log.stop
    ledger = _ledger(draft, turn, n_entries, prefix, _forecast(draft, turn, prefix, points, gap_s))
    return Call(
        messages=messages,
        tools=draft.tools,
        input_tokens=ledger.input_tokens,
        upper_tokens=ledger.upper_tokens,
        max_output_tokens=turn.reply_reserve,
        cache_points=points,
        fingerprint=_fingerprint(tools_digest, messages),
        ledger=ledger,
        plan=plan,
        tenant=turn.tenant,
    )


def _check_request(draft: Draft, request: int) -> None:
    """The words of the current request stand in the call, whatever form its tool results took."""
    if request < 0:
        return
    message = draft.log.entry(request).message
    words = [part for part in message.parts if not isinstance(part, ToolResultPart)]
    piece = next((p for p in draft.pieces if p.start <= request < p.stop), None)
    if piece is not None and piece.is_log:
        return
    shown = [part for m in (piece.shown or () if piece else ()) for part in m.parts]
    if any(part not in shown for part in words):
        by = piece.policy if piece else "a policy"
        raise PolicyError(f"{by} changed the current request m{request}, which must stay as it is")


def _fingerprint(tools_digest: str, messages: Sequence[Message]) -> str:
    body = tools_digest.encode("ascii") + b"".join([m.digest for m in messages])
    return hashlib.sha256(body).hexdigest()


def _cache_points(draft: Draft) -> tuple[CachePoint, ...]:
    points: list[CachePoint] = []
    for seq, ttl, why in sorted(draft.cache_points):
        after = _messages_up_to(draft, seq) if seq >= 0 else 0
        if all(point.after != after for point in points):
            points.append(CachePoint(after, "1h" if ttl == "1h" else "5m", why))
    return tuple(points)


def _messages_up_to(draft: Draft, seq: int) -> int:
    """How many messages the call shows up to entry `seq`, this one included."""
    n_messages = 0
    for piece in draft.pieces:
        if piece.start > seq:
            break
        if piece.is_log:
            n_messages += min(piece.stop, seq + 1) - piece.start
        else:
            n_messages += len(piece.shown or ())
    return n_messages


def _prefix(draft: Draft, turn: Turn, sent: Sent | None, tools_digest: str) -> Prefix:
    if sent is None:
        return Prefix()
    counter, zero = draft.counter, draft.counter.zero
    frame = counter.tokens(draft.frame)
    before = frame + counter.tokens(measure_runs(sent.runs, zero))
    if sent.tools_digest != tools_digest:
        return Prefix(0, before, True, before, "tools", "the tool schemas changed")
    shared = compare(sent.runs, draft.runs, draft.pieces, draft.log, zero)
    total = draft.input_tokens
    tokens = min(total, before, counter.tokens(shared.measure) + frame)
    is_kept = shared.is_whole or tokens == before
    if is_kept or compare(sent.stable, draft.runs, draft.pieces, draft.log, zero).is_whole:
        return Prefix(tokens, before)
    rewritten = total - tokens
    by = shared.piece
    policy, why = (
        (by.policy, f"{by.handle}: {by.why}") if by else ("assembly", "the call is shorter")
    )
    return Prefix(tokens, before, True, rewritten, policy, why, _rewrite_cost(turn, rewritten))


def _rewrite_cost(turn: Turn, tokens: int) -> float | None:
    """What re-writing costs more than reading would have."""
    if turn.rule is None:
        return None
    cold = pricing.forecast(
        turn.rule, input_tokens=tokens, shared_prefix_tokens=0, last_cache_point_tokens=tokens
    )
    if cold.cost_usd is None or cold.uncached_usd is None:
        return None
    return cold.cost_usd - cold.uncached_usd * turn.rule.read_multiplier


def _forecast(
    draft: Draft, turn: Turn, prefix: Prefix, points: Sequence[CachePoint], gap_s: float | None
) -> CacheForecast:
    total = draft.input_tokens
    if turn.rule is None:
        return CacheForecast(prefix.shared_tokens, 0, total - prefix.shared_tokens)
    expected = pricing.forecast(
        turn.rule,
        input_tokens=total,
        shared_prefix_tokens=prefix.shared_tokens,
        last_cache_point_tokens=_cached_tokens(draft, total),
        ttl=points[-1].ttl if points and turn.rule.mode == "explicit" else None,
        gap_s=gap_s,
    )
    return CacheForecast(
        expected.read_tokens,
        expected.write_tokens,
        expected.fresh_tokens,
        expected.cost_usd,
        expected.uncached_usd,
        expected.relative_cost,
    )


def _cached_tokens(draft: Draft, total: int) -> int:
    """Tokens up to the last cache point; none where no policy set one."""
    if not draft.cache_points:
        return 0
    last = max(seq for seq, _, _ in draft.cache_points)
    behind = draft.counter.zero
    for piece in draft.pieces:
        if piece.start > last:
            behind = add(behind, piece.measure)
        elif piece.is_log and piece.stop > last + 1:
            behind = add(behind, draft.log.span(last + 1, piece.stop))
    return total - draft.counter.tokens(behind)


def _ledger(
    draft: Draft, turn: Turn, n_entries: int, prefix: Prefix, forecast: CacheForecast
) -> Ledger:
    """The account; what was stored before and what this turn brings are never one decision."""
    counter = draft.counter
    decisions = tuple(_decision(draft, p) for p in split(draft.pieces, n_entries, draft.log))
    frame = counter.tokens(draft.frame)
    tokens = frame + sum(d.tokens_after for d in decisions)
    return Ledger(
        thread=turn.thread,
        turn=0,
        window=turn.window,
        reply_reserve=turn.reply_reserve,
        input_tokens=tokens,
        upper_tokens=max(tokens, draft.upper_tokens),
        frame_tokens=frame,
        exact=counter.exact,
        counter=counter.name,
        decisions=decisions,
        prefix=prefix,
        forecast=forecast,
        notes=draft.notes,
    )


def _decision(draft: Draft, piece: Piece) -> Decision:
    after = draft.counter.tokens(piece.measure)
    before = (
        after if piece.is_log else draft.counter.tokens(draft.log.span(piece.start, piece.stop))
    )
    handle = piece.handle
    return Decision(
        piece=handle,
        action=piece.action,
        policy=piece.policy,
        why=piece.why,
        section=piece.section,
        tokens_before=before,
        tokens_after=after,
        start=piece.start,
        stop=piece.stop,
        handle="" if piece.is_inserted else handle,
        pinned=piece.pinned,
        volatile=piece.volatile,
    )
