"""What the same recorded run costs in other ways: everything sent, or the oldest cut off every turn.

Every way is counted with the same counter and billed by the same dated rules. These are simulated
prices of the input, not a bill: no provider was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from contextkit import pricing
from contextkit.demo.replay import ReplayedTurn
from contextkit.dialects import openai
from contextkit.manager import ContextManager
from contextkit.messages import Message
from contextkit.tokens import Measure, add
from contextkit.validity import wire_problems


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make the calls of a run, and what became of it."""

    name: str
    n_calls: int
    input_tokens: int
    largest_tokens: int
    over_window: int
    """Calls whose input does not fit the window beside the reply reserve."""
    invalid: int
    """Calls that a provider would refuse for the order of their messages."""
    cost_usd: float | None
    """Of the input, by the dated rules; None where the price is not known."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """One call of another way: its messages, its tokens, what it shares with the call before."""

    messages: tuple[Message, ...]
    tokens: int
    shared_tokens: int
    system_tokens: int


def by_contextkit(manager: ContextManager, turns: Sequence[ReplayedTurn]) -> Way:
    """The calls that contextkit assembled, judged by the rules of two providers."""
    limit = manager.window - manager.reply_reserve
    ledgers = [turn.ledger for turn in turns]
    return Way(
        "contextkit",
        len(turns),
        sum(ledger.input_tokens for ledger in ledgers),
        max((ledger.input_tokens for ledger in ledgers), default=0),
        sum(turn.call.upper_tokens > limit for turn in turns),
        sum(_is_refused(turn) for turn in turns),
        _sum([ledger.forecast.cost_usd for ledger in ledgers]),
    )


def other_ways(
    manager: ContextManager, messages: Sequence[Message], points: Sequence[int]
) -> list[Way]:
    """The run without contextkit; `points`: how many messages were said before each call."""
    everything = _sent(manager, [tuple(messages[:n]) for n in points])
    trimmed = _sent(manager, [_trim(manager, messages[:n]) for n in points])
    return [
        _way(manager, "everything, uncached", everything, _uncached(manager, everything)),
        _way(manager, "everything, cached", everything, _cached(manager, everything)),
        _way(manager, "trim every turn, cached", trimmed, _cached(manager, trimmed)),
    ]


def _is_refused(turn: ReplayedTurn) -> bool:
    call = turn.call
    return bool(
        wire_problems(call.to_anthropic(), "anthropic") or wire_problems(call.to_openai(), "openai")
    )


def _way(manager: ContextManager, name: str, calls: Sequence[_Sent], cost_usd: float | None) -> Way:
    tokens = [call.tokens for call in calls]
    limit = manager.window - manager.reply_reserve
    requests = [{"messages": [openai.dump(m) for m in call.messages]} for call in calls]
    invalid = sum(bool(wire_problems(request, "openai")) for request in requests)
    over = sum(n > limit for n in tokens)
    return Way(name, len(calls), sum(tokens), max(tokens, default=0), over, invalid, cost_usd)


def _trim(manager: ContextManager, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system and the newest messages that fit: one message after another is cut from the front."""
    counter, limit = manager.counter, manager.window - manager.reply_reserve
    opening = list(takewhile(lambda m: m.role == "system", messages))
    room = limit - counter.upper(_measure(manager, opening))
    newest: list[Message] = []
    for message in reversed(messages[len(opening) :]):
        room -= counter.upper(counter.measure(message))
        if room < 0 and newest:
            break
        newest.append(message)
    return (*opening, *reversed(newest))


def _sent(manager: ContextManager, calls: Sequence[tuple[Message, ...]]) -> list[_Sent]:
    out: list[_Sent] = []
    before: tuple[Message, ...] = ()
    for messages in calls:
        pairs = zip(before, messages, strict=False)
        n_same = sum(1 for _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
        same = messages[:n_same]
        opening = list(takewhile(lambda m: m.role == "system", messages))
        out.append(_Sent(messages, *(_tokens(manager, part) for part in (messages, same, opening))))
        before = messages
    return out


def _measure(manager: ContextManager, messages: Sequence[Message]) -> Measure:
    total = manager.frame(())
    for message in messages:
        total = add(total, manager.counter.measure(message))
    return total


def _tokens(manager: ContextManager, messages: Sequence[Message]) -> int:
    return manager.counter.tokens(_measure(manager, messages)) if messages else 0


def _uncached(manager: ContextManager, calls: Sequence[_Sent]) -> float | None:
    if manager.rule is None:
        return None
    return _sum(
        [
            pricing.forecast(
                manager.rule, input_tokens=call.tokens, shared_prefix_tokens=0
            ).uncached_usd
            for call in calls
        ]
    )


def _cached(manager: ContextManager, calls: Sequence[_Sent]) -> float | None:
    """The cheaper of a cache point at the end of every call and one behind the system only."""
    at_end = _billed(manager, calls, [call.tokens for call in calls])
    at_system = _billed(manager, calls, [call.system_tokens for call in calls])
    return None if at_end is None or at_system is None else min(at_end, at_system)


def _billed(
    manager: ContextManager, calls: Sequence[_Sent], cache_points: Sequence[int]
) -> float | None:
    rule = manager.rule
    if rule is None:
        return None
    return _sum(
        [
            pricing.forecast(
                rule,
                input_tokens=call.tokens,
                shared_prefix_tokens=call.shared_tokens,
                last_cache_point_tokens=point,
            ).cost_usd
            for call, point in zip(calls, cache_points, strict=True)
        ]
    )


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
