"""What the same recorded run costs in other ways: everything sent, or the oldest cut off every turn.

Every way is counted with the same counter and billed by the same simulated cache. These are simulated
prices of the input, not a bill: no provider was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from contextkit.cache_sim import Point
from contextkit.dialects import openai
from contextkit.messages import Message
from contextkit.replay import Outcome, Provider, Recording
from contextkit.replay.billing import Cashier
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


def way_of(outcome: Outcome, limit_tokens: int, *, is_cached: bool = True) -> Way:
    """The calls of a replay."""
    made = [call for call in outcome.calls if not call.refused]
    tokens = [call.usage.input_tokens for call in made]
    return Way(
        outcome.setup,
        len(made),
        sum(tokens),
        max(tokens, default=0),
        sum(n > limit_tokens for n in tokens),
        sum(bool(call.problems) for call in made),
        _sum([call.input_usd if is_cached else call.full_usd for call in made]),
    )


def trimmed(
    recording: Recording, provider: Provider, limit_tokens: int, times: Sequence[float]
) -> Way:
    """The system and the newest messages that fit, cut anew at every call, in front of a prompt cache."""
    sent = [
        _trim(provider, recording.messages[: call.n_before], limit_tokens)
        for call in recording.calls
    ]
    tokens = [provider.counter.tokens(_measure(provider, messages)) for messages in sent]
    requests = [{"messages": [openai.dump(message) for message in messages]} for messages in sent]
    return Way(
        "trim every turn, cached",
        len(sent),
        sum(tokens),
        max(tokens, default=0),
        sum(n > limit_tokens for n in tokens),
        sum(bool(wire_problems(request, "openai")) for request in requests),
        _cheaper(recording, provider, sent, times),
    )


def _cheaper(
    recording: Recording,
    provider: Provider,
    sent: Sequence[tuple[Message, ...]],
    times: Sequence[float],
) -> float | None:
    """The cheaper of a cache point at the end of every call and one behind the system only."""
    frame = provider.counter.tokens(provider.counter.measure_frame(()))
    bills: list[float] = []
    for at_end in (True, False):
        cashier = Cashier(provider, (), frame)
        costs: list[float | None] = []
        for call, messages, now in zip(recording.calls, sent, times, strict=True):
            opening = sum(1 for _ in takewhile(_is_system, messages))
            points = [Point(1 + (len(messages) if at_end else opening))]
            answer = recording.messages[call.n_before]
            costs.append(cashier.bill(messages, points, now, answer).cost_usd)
        bill = _sum(costs)
        if bill is None:
            return None
        bills.append(bill)
    return min(bills)


def _trim(
    provider: Provider, messages: Sequence[Message], limit_tokens: int
) -> tuple[Message, ...]:
    """One message after another is cut from the front."""
    counter = provider.counter
    opening = list(takewhile(_is_system, messages))
    room = limit_tokens - counter.upper(_measure(provider, opening))
    newest: list[Message] = []
    for message in reversed(messages[len(opening) :]):
        room -= counter.upper(counter.measure(message))
        if room < 0 and newest:
            break
        newest.append(message)
    return (*opening, *reversed(newest))


def _measure(provider: Provider, messages: Sequence[Message]) -> Measure:
    total = provider.counter.measure_frame(())
    for message in messages:
        total = add(total, provider.counter.measure(message))
    return total


def _is_system(message: Message) -> bool:
    return message.role == "system"


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
