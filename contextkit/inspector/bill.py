"""The bill explained: what each call really used, beside what was expected, and why they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from contextkit.inspector.account import totals
from contextkit.inspector.overview import cost_of
from contextkit.inspector.words import money
from contextkit.ledger import Ledger
from contextkit.pricing import CacheRule

TOLERANCE = 0.02
"""Share of the input by which counts may differ before it is called a miss."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One call on the bill. Tokens are the provider's own where it reported them."""

    turn: int
    input_tokens: int
    read_tokens: int
    write_tokens: int
    fresh_tokens: int
    output_tokens: int
    expected_read_tokens: int
    missed_tokens: int
    """Expected from the cache and not read; 0 while the real usage is not known."""
    cost_usd: float | None
    expected_usd: float | None
    is_real: bool
    cause: str
    """Why the prefix was not read, or what it cost to move it; empty where all went as expected."""
    policy: str = ""
    """Whose edit it was, where it was one."""
    handle: str = ""
    """The piece that was edited."""
    reason: str = ""
    """The provider's own word, where it was asked."""


def bill(
    ledgers: Sequence[Ledger],
    rule: CacheRule | None = None,
    gaps_s: Sequence[float | None] = (),
) -> list[BillLine]:
    """A line for every call. `gaps_s`: seconds since the call before, where they are known."""
    gaps = [*gaps_s, *[None] * (len(ledgers) - len(gaps_s))]
    return [_line(ledger, rule, gap) for ledger, gap in zip(ledgers, gaps, strict=True)]


def gaps(closed_at: Sequence[str]) -> list[float | None]:
    """Seconds between the ends of two turns (ISO 8601): what a cache entry has to outlive."""
    times = [datetime.fromisoformat(moment) for moment in closed_at]
    return [None, *((later - one).total_seconds() for one, later in pairwise(times))][: len(times)]


def _line(ledger: Ledger, rule: CacheRule | None, gap_s: float | None) -> BillLine:
    usage, forecast = ledger.usage, ledger.forecast
    input_tokens = usage.input_tokens if usage else ledger.input_tokens
    read = usage.cache_read_tokens if usage else forecast.read_tokens
    written = usage.cache_write_tokens if usage else forecast.write_tokens
    missed = max(0, forecast.read_tokens - read) if usage else 0
    if missed <= TOLERANCE * input_tokens:
        missed = 0
    cause, policy, handle = _cause(ledger, missed, rule, gap_s)
    return BillLine(
        turn=ledger.turn,
        input_tokens=input_tokens,
        read_tokens=read,
        write_tokens=written,
        fresh_tokens=max(0, input_tokens - read - written),
        output_tokens=usage.output_tokens if usage else 0,
        expected_read_tokens=forecast.read_tokens,
        missed_tokens=missed,
        cost_usd=cost_of(ledger),
        expected_usd=forecast.cost_usd,
        is_real=usage is not None,
        cause=cause,
        policy=policy,
        handle=handle,
        reason=ledger.verdict.reason if ledger.verdict else "",
    )


def _cause(
    ledger: Ledger, missed: int, rule: CacheRule | None, gap_s: float | None
) -> tuple[str, str, str]:
    """Why the cache was not read as far as it might have been: in words, by whom, which piece."""
    prefix, verdict = ledger.prefix, ledger.verdict
    said = f"the provider says {verdict.reason}" if verdict and verdict.is_miss else ""
    handle, named, why = prefix.why.partition(": ")
    words: list[str] = []
    if said and not (prefix.moved and _is_ours(ledger, handle)):
        words.append(f"{said}: {_outside(ledger)}")
        said = ""
    if prefix.moved:
        price = (
            "" if prefix.cost_usd is None else f", {money(prefix.cost_usd)} more than reading it"
        )
        edit = f"{prefix.policy} rewrote {prefix.rewritten_tokens:,} tokens{price}: {why or handle}"
        words += [said, edit] if said else [edit]
        return "; ".join(words), prefix.policy, handle if named else ""
    if words:
        return words[0], "", ""
    return _unmoved(ledger, missed, rule, gap_s), "", ""


def _unmoved(ledger: Ledger, missed: int, rule: CacheRule | None, gap_s: float | None) -> str:
    """Why a prefix that stayed whole was not read; empty where it was."""
    lifetime = rule.ttl().seconds if rule else None
    if gap_s is not None and lifetime is not None and gap_s > lifetime:
        if ledger.prefix.previous_tokens:
            return f"{gap_s:,.0f} s after the call before, the cache entry had lapsed"
    elif missed:
        return (
            f"{missed:,} tokens were expected from the cache and not read, though the prefix is "
            "whole: evicted, served elsewhere, or sent while the call before was still running"
        )
    return ""


def _outside(ledger: Ledger) -> str:
    """What a verdict means that no edit of the ledger explains."""
    layer = ledger.verdict.layer if ledger.verdict else "unknown"
    return {
        "settings": "a setting of the request, which contextkit does not send",
        "tools": "tools that were not given to assemble, or another form of them",
        "system": "a system text that was changed after the call was assembled",
        "messages": "messages that were changed after the call was assembled",
    }[layer]


def _is_ours(ledger: Ledger, handle: str) -> bool:
    """Whether the provider's verdict is about what contextkit moved."""
    layer = ledger.verdict.layer if ledger.verdict else "unknown"
    if "tools" in (layer, ledger.prefix.policy):
        return layer == ledger.prefix.policy == "tools"
    sections = {d.section for d in ledger.decisions if d.piece == handle}
    return layer == ("system" if "system" in sections else "messages")


def bill_json(lines: Sequence[BillLine], ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """The lines and the sums as JSON values."""
    sums = totals(ledgers)
    return {
        "turns": [asdict(line) for line in lines],
        "totals": {
            **sums,
            "missed_tokens": sum(line.missed_tokens for line in lines),
            "rewritten_tokens": sum(ledger.prefix.rewritten_tokens for ledger in ledgers),
            "by_policy": by_policy(ledgers),
        },
    }


def by_policy(ledgers: Sequence[Ledger]) -> dict[str, dict[str, Any]]:
    """What the edits of each policy cost in re-writing, the dearest first."""
    sums: dict[str, dict[str, Any]] = {}
    for ledger in ledgers:
        prefix = ledger.prefix
        if prefix.moved:
            row = sums.setdefault(prefix.policy, {"moves": 0, "rewritten_tokens": 0, "usd": 0.0})
            row["moves"] += 1
            row["rewritten_tokens"] += prefix.rewritten_tokens
            row["usd"] = None if None in (row["usd"], prefix.cost_usd) else row["usd"] + (
                prefix.cost_usd or 0.0
            )  # fmt: skip
    return dict(sorted(sums.items(), key=lambda item: -int(item[1]["rewritten_tokens"])))
