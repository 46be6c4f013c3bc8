"""What a ledger says, as plain figures: the slices of the window, what left, shares and sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from contextkit.inspector.words import money, share
from contextkit.ledger import Decision, Ledger

FREE, RESERVE, UNCERTAIN, SHORTENED = "free", "reply reserve", "error bar", "shortened"
"""Slices that are no section: what is left, what the reply may take, what the count may be off by,
and what stands in the call in a shorter form."""

_FIRST = ("frame", "system", "pinned")
_LAST = ("request",)


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the window, in tokens; all slices of a ledger add up to its window."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a call does not show, or shows shorter: how many tokens that freed, by whom and why."""

    handle: str
    action: str
    freed_tokens: int
    tokens_before: int
    tokens_after: int
    policy: str
    why: str


def slices(ledger: Ledger) -> tuple[Slice, ...]:
    """The window from its start to its end: frame, sections, error bar, free, reply reserve."""
    sums: dict[str, int] = {}
    if ledger.frame_tokens:
        sums["frame"] = ledger.frame_tokens
    for decision in ledger.decisions:
        if decision.tokens_after:
            name = _slice_of(decision)
            sums[name] = sums.get(name, 0) + decision.tokens_after
    names = [*_FIRST, *(n for n in sums if n not in _FIRST + _LAST), *_LAST]
    found = [Slice(name, sums[name]) for name in names if name in sums]
    uncertain = max(0, ledger.upper_tokens - ledger.input_tokens)
    free = max(0, ledger.limit_tokens - ledger.upper_tokens)
    kept = ledger.window - ledger.limit_tokens
    rest = [Slice(UNCERTAIN, uncertain), Slice(FREE, free), Slice(RESERVE, kept)]
    return (*found, *(part for part in rest if part.tokens))


def slice_names(ledgers: Iterable[Ledger]) -> list[str]:
    """The names of all slices of several ledgers, in the order in which a bar shows them."""
    seen = dict.fromkeys(part.name for ledger in ledgers for part in slices(ledger))
    tail = [*_LAST, UNCERTAIN, FREE, RESERVE]
    middle = [name for name in seen if name not in (*_FIRST, *tail)]
    return [name for name in (*_FIRST, *middle, *tail) if name in seen]


def _slice_of(decision: Decision) -> str:
    shorter = decision.tokens_after < decision.tokens_before
    if decision.action == "replace" and decision.section == "history" and shorter:
        return SHORTENED
    if decision.pinned and decision.section == "history":
        return "pinned"
    return decision.section


def left_out(ledger: Ledger) -> list[LeftOut]:
    """What left or was shortened, the largest first; what only changed its form is `rewritten`."""
    rows = [_left_out(d) for d in ledger.left_out if d.tokens_after < d.tokens_before]
    return sorted(rows, key=lambda row: -row.freed_tokens)


def rewritten(ledger: Ledger) -> list[LeftOut]:
    """What stands in the call in another form that is no shorter (a repaired id, a stub)."""
    return [_left_out(d) for d in ledger.left_out if d.tokens_after >= d.tokens_before]


def _left_out(d: Decision) -> LeftOut:
    return LeftOut(
        handle=d.handle or d.piece,
        action=d.action,
        freed_tokens=d.tokens_before - d.tokens_after,
        tokens_before=d.tokens_before,
        tokens_after=d.tokens_after,
        policy=d.policy,
        why=d.why,
    )


def expected_read_share(ledger: Ledger) -> float | None:
    """Share of the input that the provider's cache is expected to serve; None: nothing was sent."""
    return share(ledger.forecast.read_tokens, ledger.input_tokens)


def real_read_share(ledger: Ledger) -> float | None:
    """The same by the provider's own usage; None while that is not known."""
    usage = ledger.usage
    return share(usage.cache_read_tokens, usage.input_tokens) if usage else None


def read_share(ledger: Ledger) -> float | None:
    """The real share where it is known, else the expected one."""
    real = real_read_share(ledger)
    return expected_read_share(ledger) if real is None else real


def prefix_sentence(ledger: Ledger) -> str:
    """Whether the prefix of the call before stayed, and if not, which edit moved it and the price."""
    prefix = ledger.prefix
    if not prefix.previous_tokens:
        return "first call: there was no prefix to keep"
    if not prefix.moved:
        return f"kept: all {prefix.shared_tokens:,} stable tokens of the call before stand first"
    cost = ""
    if prefix.cost_usd is not None:
        cost = f", {money(prefix.cost_usd)} more than reading them would have cost"
    return (
        f"moved by {prefix.policy or 'assembly'}: {prefix.shared_tokens:,} of "
        f"{prefix.previous_tokens:,} tokens are shared, {prefix.rewritten_tokens:,} are read in "
        f"again{cost} ({prefix.why})"
    )


def totals(ledgers: Iterable[Ledger]) -> dict[str, Any]:
    """Sums over calls; a cost is None as soon as one call's price is unknown.

    What was really read is summed over the calls whose usage is known, `real_calls` of them.
    """
    rows = list(ledgers)
    forecasts = [ledger.forecast for ledger in rows]
    usages = [ledger.usage for ledger in rows if ledger.usage is not None]
    real_input_tokens = sum(usage.input_tokens for usage in usages)
    real_read_tokens = sum(usage.cache_read_tokens for usage in usages)
    input_tokens = sum(ledger.input_tokens for ledger in rows)
    read_tokens = sum(forecast.read_tokens for forecast in forecasts)
    return {
        "calls": len(rows),
        "input_tokens": input_tokens,
        "expected_read_tokens": read_tokens,
        "expected_read_share": share(read_tokens, input_tokens),
        "real_calls": len(usages),
        "real_input_tokens": real_input_tokens,
        "real_read_tokens": real_read_tokens,
        "real_read_share": share(real_read_tokens, real_input_tokens),
        "moved": sum(ledger.prefix.moved for ledger in rows),
        "expected_input_usd": _sum(forecast.cost_usd for forecast in forecasts),
        "uncached_input_usd": _sum(forecast.uncached_usd for forecast in forecasts),
        "real_usd": _sum(ledger.cost_usd for ledger in rows),
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else float(sum(v for v in known if v is not None))


def to_json(ledger: Ledger) -> dict[str, Any]:
    """The ledger with what the inspector derives from it, as JSON values."""
    return {
        **ledger.to_dict(),
        "slices": [asdict(part) for part in slices(ledger)],
        "left_out": [asdict(row) for row in left_out(ledger)],
        "expected_read_share": expected_read_share(ledger),
        "real_read_share": real_read_share(ledger),
    }
