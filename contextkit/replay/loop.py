"""The closed loop: every recorded model call assembled anew under a configuration, and billed.

What was recorded as said is said again, whatever a configuration shows: the recorded answers come
back in their places, so differences between configurations are those of the context alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from weakref import WeakKeyDictionary

from contextkit.cache_sim import Served
from contextkit.call import Call
from contextkit.errors import ContextKitError
from contextkit.log import Entry
from contextkit.manager import ContextManager
from contextkit.pricing import PER_MILLION
from contextkit.replay.billing import Cashier
from contextkit.replay.clock import moments
from contextkit.replay.contradictions import miscounted
from contextkit.replay.grounding import Grounded, Judge, Needs, find_needs
from contextkit.replay.log import ReplayThread, chain
from contextkit.replay.outcome import Evidence, Outcome, ReplayedCall
from contextkit.replay.provider import Provider
from contextkit.replay.recording import Question, RecordedCall, Recording
from contextkit.usage import Usage
from contextkit.validity import wire_problems

CADENCE_S = 10.0
"""Seconds between two calls where a recording has no times."""


class Replayer:
    """Plays recordings under configurations; what all of them share is worked out once.

    `schema_tokens` stand in front of every call: tools that were sent but are not in the recording.
    `keep_warm`: pauses are bridged as `Thread.keep_warm` says, by what was known when they began.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        cadence_s: float = CADENCE_S,
        schema_tokens: int = 0,
        keep_ledgers: bool = False,
        keep_warm: bool = False,
    ) -> None:
        self.provider = provider
        self.cadence_s = cadence_s
        self.schema_tokens = schema_tokens
        self.keep_ledgers = keep_ledgers
        self.keep_warm = keep_warm
        self._entries: WeakKeyDictionary[Recording, list[Entry]] = WeakKeyDictionary()
        self.checked: dict[str, tuple[str, ...]] = {}
        """What a provider would refuse of a call, by its fingerprint; equal calls are checked once."""
        self._needs: WeakKeyDictionary[Recording, tuple[Needs, ...]] = WeakKeyDictionary()

    def prepare(self, recording: Recording) -> tuple[list[Entry], tuple[Needs, ...]]:
        """Count its messages and find what its tool calls need; done once a recording."""
        if recording not in self._entries:
            self._entries[recording] = chain(self.provider.counter, recording.messages)
            self._needs[recording] = find_needs(recording)
        return self._entries[recording], self._needs[recording]

    def run(
        self,
        recording: Recording,
        manager: ContextManager,
        setup: str = "",
        on_call: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """One recording from its first call to its last."""
        entries, needs = self.prepare(recording)
        times, notes = moments(recording, self.cadence_s)
        turn = _Run(self, manager, recording, entries, Judge(needs))
        calls: list[ReplayedCall] = []
        for index, (recorded, now) in enumerate(zip(recording.calls, times, strict=True)):
            is_last = index + 1 == len(recording.calls)
            calls.append(turn.call(index, recorded, now, is_last))
            on_call()
        return Outcome(
            recording.id,
            setup,
            manager.window,
            tuple(calls),
            turn.ask(recording.questions),
            recording.cost,
            (*notes, *miscounted(recording.id, recording.calls, [c.full_tokens for c in calls])),
        )


class _Run:
    """One recording under one configuration, call after call."""

    def __init__(
        self,
        replayer: Replayer,
        manager: ContextManager,
        recording: Recording,
        entries: list[Entry],
        judge: Judge,
    ) -> None:
        self._manager = manager
        self._recording = recording
        self._entries = entries
        self._judge = judge
        self._keeps = replayer.keep_ledgers
        self._keeps_warm = replayer.keep_warm
        self._used_at = float("-inf")
        self._reads: list[Served] = []
        self._provider = replayer.provider
        self._checked = replayer.checked
        self._thread = ReplayThread(manager, recording.id, entries)
        counter = replayer.provider.counter
        self._frame = counter.tokens(manager.frame(recording.tools)) + replayer.schema_tokens
        self._cashier = Cashier(replayer.provider, recording.tools, self._frame)

    def call(self, index: int, recorded: RecordedCall, now: float, is_last: bool) -> ReplayedCall:
        if self._keeps_warm:
            self._warm(now)
        self._manager.clock = lambda: now
        self._thread.advance(recorded.n_before)
        started = perf_counter()
        try:
            call = self._thread.assemble(tools=self._recording.tools)
        except ContextKitError as error:
            return self._refused(recorded, now, error)
        took = perf_counter() - started
        self._thread.commit(call)
        answer = self._entries[recorded.n_before]
        served = self._cashier.serve(call, now, answer.message)
        reads, self._reads, self._used_at = self._reads, [], now
        output = self._provider.counter.tokens(answer.measure)
        price = self._provider.rule.price
        full = self._full_tokens(recorded.n_before)
        tier = price.tier(served.usage.input_tokens) if price else None
        prefix = call.ledger.prefix
        return ReplayedCall(
            n_before=recorded.n_before,
            at=now,
            full_tokens=full,
            usage=replace(served.usage, output_tokens=output),
            billed_tokens=served.billed_tokens + sum(read.billed_tokens for read in reads),
            input_usd=_sum([served, *reads]),
            warm_reads=len(reads),
            full_usd=full * price.tier(full).input_usd / PER_MILLION if price else None,
            output_usd=output * tier.output_usd / PER_MILLION if tier else None,
            grounded=self._judge.judge(index, call.plan.draft.pieces),
            assembly_s=took,
            moved=prefix.moved,
            moved_by=prefix.policy if prefix.moved else "",
            rewritten_tokens=prefix.rewritten_tokens,
            problems=self._check(call, is_last),
            ledger=call.ledger if self._keeps else None,
        )

    def ask(self, questions: Sequence[Question]) -> Evidence:
        """Each question as the next request behind the whole recording."""
        found = Evidence()
        if questions:
            self._thread.advance(len(self._entries))
        for question in questions:
            try:
                call = self._thread.assemble(question.text, tools=self._recording.tools)
            except ContextKitError:
                found += Evidence(1)
                continue
            held = [_holds(call, self._recording, one) for one in question.evidence]
            found += Evidence(1, all(held), sum(held) / len(held) if held else 1.0)
        return found

    def _warm(self, now: float) -> None:
        """The reads of the pause before `now`; the next call that can be made bears their cost."""
        warming, n_reads = self._thread.keep_warm(), 0
        while warming and n_reads < warming.reads and self._used_at + warming.every_s < now:
            at = self._used_at + warming.every_s
            self._manager.clock = partial(float, at)
            self._reads.append(self._cashier.serve(warming.call, at, None))
            self._thread.warmed()
            self._used_at, n_reads = at, n_reads + 1

    def _refused(self, recorded: RecordedCall, now: float, error: ContextKitError) -> ReplayedCall:
        calls = len(self._recording.messages[recorded.n_before].tool_calls)
        return ReplayedCall(
            n_before=recorded.n_before,
            at=now,
            full_tokens=self._full_tokens(recorded.n_before),
            usage=Usage(),
            billed_tokens=0.0,
            input_usd=None,
            full_usd=None,
            output_usd=None,
            grounded=Grounded(calls),
            assembly_s=0.0,
            refused=f"{type(error).__name__}: {error}",
        )

    def _full_tokens(self, n_before: int) -> int:
        return self._frame + self._provider.counter.tokens(self._entries[n_before - 1].total)

    def _check(self, call: Call, is_last: bool) -> tuple[str, ...]:
        """What the provider would refuse: of the first call, of every one that moved, of the last.

        The others only go on where the call before them ended; their pairing was checked by sealing.
        """
        prefix = call.ledger.prefix
        if prefix.previous_tokens and not prefix.moved and not is_last:
            return ()
        known = self._checked.get(call.fingerprint)
        if known is None:
            is_anthropic = self._provider.dialect == "anthropic"
            request = call.to_anthropic() if is_anthropic else call.to_openai()
            known = tuple(wire_problems(request, "anthropic" if is_anthropic else "openai"))
            self._checked[call.fingerprint] = known
        return known


def _sum(served: Sequence[Served]) -> float | None:
    """What several calls cost; None where the price is not known."""
    known = [one.cost_usd for one in served if one.cost_usd is not None]
    return sum(known) if len(known) == len(served) else None


def _holds(call: Call, recording: Recording, evidence: int | str) -> bool:
    """Whether the call says it: the message itself, or all its words inside another one (a quote)."""
    if isinstance(evidence, str):
        return any(evidence in message.text for message in call.messages)
    if not 0 <= evidence < len(recording.messages):
        return False
    wanted = recording.messages[evidence]
    words = _flat(wanted.text)
    return any(
        message.digest == wanted.digest or (words and words in _flat(message.text))
        for message in call.messages
    )


def _flat(text: str) -> str:
    return " ".join(text.split())
