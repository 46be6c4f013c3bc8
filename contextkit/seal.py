"""Sealing: a draft becomes a call, or an error that names what does not fit. Nothing is cut silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contextkit import pricing
from contextkit.call import CachePoint, Call
from contextkit.draft import Draft
from contextkit.errors import BudgetExceeded, InvalidMessage, PolicyError
from contextkit.ledger import CacheForecast, Decision, Ledger, Prefix
from contextkit.messages import ToolResultPart
from contextkit.piece import Piece, split
from contextkit.policy import Turn
from contextkit.prefix import Repeated, Run, measure_runs, n_messages
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
    repeated: Repeated | None = None
    """`stable` with what was worked out of it, where this process made the call."""


@dataclass(slots=True, eq=False)
class Plan:
    """What recording a sealed call commits, once."""

    thread: Any
    """Whose it is, until it was recorded: the thread holds its last call, and would hold itself."""
    draft: Draft
    base_version: int
    n_entries: int
    """Entries in the log when the draft was made; the input follows them."""
    is_recorded: bool = False


def check_budget(draft: Draft, max_input_tokens: int | None) -> None:
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
    room = "window without the reply reserve"
    if draft.limit_tokens == max_input_tokens:
        room = "the most that the model takes of input, whatever its window"
    listed = "; ".join(f"{handle} {tokens:,} ({why})" for handle, tokens, why in rows[:4])
    raise BudgetExceeded(
        f"{needed:,} tokens must be sent, {draft.limit_tokens:,} fit ({room}). Largest: {listed}. "
        f"{_remedy(draft, rows)}",
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
    check_budget(draft, turn.max_input_tokens)
    if all(message.is_empty for message in draft.messages):
        raise InvalidMessage(
            f"thread {turn.thread!r} has nothing to say: its messages are empty; give an input"
        )
    _check_request(draft, turn.request)
    if draft.faults:
        raise PolicyError(f"the policies left an invalid call: {'; '.join(draft.faults[:3])}")
    prefix = _prefix(draft, turn, sent)
    points = _cache_points(draft)
    n_entries = plan.n_entries if plan else draft.log.stop
    ledger = _ledger(draft, turn, n_entries, prefix, _forecast(draft, turn, prefix, points, gap_s))
    return Call(
        messages=draft.messages,
        tools=draft.tools,
        input_tokens=ledger.input_tokens,
        upper_tokens=ledger.upper_tokens,
        max_output_tokens=turn.reply_reserve,
        cache_points=points,
        fingerprint=draft.reading.fingerprint,
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


def _cache_points(draft: Draft) -> tuple[CachePoint, ...]:
    """The points by the messages before them; where two would stand at one place, the first."""
    points: dict[int, CachePoint] = {}
    pieces, n_shown = iter(draft.pieces), 0
    piece = next(pieces, None)
    for seq, ttl, why in sorted(draft.cache_points):
        while piece is not None and piece.stop <= seq + 1 and piece.start <= seq:
            n_shown, piece = n_shown + n_messages(piece), next(pieces, None)
        after = n_shown
        if seq >= 0 and piece is not None and piece.start <= seq:
            after += seq + 1 - piece.start if piece.shown is None else len(piece.shown)
        points.setdefault(after, CachePoint(after, "1h" if ttl == "1h" else "5m", why))
    return tuple(points.values())


def _prefix(draft: Draft, turn: Turn, sent: Sent | None) -> Prefix:
    if sent is None:
        return Prefix()
    counter, zero = draft.counter, draft.counter.zero
    frame = counter.tokens(draft.frame)
    before = frame + counter.tokens(measure_runs(sent.runs, zero))
    if sent.tools_digest != draft.tools_digest:
        return Prefix(0, before, True, before, "tools", "the tool schemas changed")
    shared = draft.shared(sent.runs)
    total = draft.input_tokens
    tokens = min(total, before, counter.tokens(shared.measure) + frame)
    is_kept = shared.is_whole or tokens == before
    if is_kept or draft.shared(sent.stable).is_whole:
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
        elif piece.stop > last + 1 and piece.shown is None:
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
        max_input_tokens=turn.max_input_tokens,
    )


def _decision(draft: Draft, piece: Piece) -> Decision:
    before = after = draft.counter.tokens(piece.measure)
    if piece.shown is not None:
        before = draft.counter.tokens(draft.log.span(piece.start, piece.stop))
    handle = piece.handle
    return Decision(
        handle,
        piece.action,
        piece.policy,
        piece.why,
        piece.section,
        before,
        after,
        piece.start,
        piece.stop,
        "" if piece.is_inserted else handle,
        piece.pinned,
        piece.volatile,
    )
