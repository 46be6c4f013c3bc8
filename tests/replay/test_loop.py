"""The closed loop does what a thread does, and bills what the cache rules say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import pytest

import contextkit
from contextkit import replay
from contextkit.draft import Draft
from contextkit.policy import Policy, Stage, Turn
from contextkit.replay.clock import moments
from contextkit.replay.grounding import Grounded
from contextkit.replay.outcome import figures

from .making import PROVIDER, conversation, recording, recordings

STACK = ["tool_results", {"kind": "sliding_window", "low_water": 0.5}, "cacheable_prefix"]
TIGHT: dict[str, Any] = {"budget": {"window": 2500, "reply_reserve": 100}, "policies": STACK}


@pytest.mark.parametrize(
    "before", [[], ["retrieve"], ["retrieve", {"kind": "cascade", "background": False}]]
)
def test_the_calls_are_those_of_a_thread_that_lived_it(before: list[Any]) -> None:
    """With what is searched and summarised: nothing of what was said later is known."""
    run = recording({"id": "r", "messages": conversation(3, n_calls=14)})
    tight = {**TIGHT, "policies": [*before, *STACK]}
    config = {**tight, "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5",
                                   "dialect": "anthropic", "tokenizer": "cl100k_base"}}  # fmt: skip
    outcome = replay.run(run, tight, PROVIDER)
    with contextkit.load(config) as manager:
        thread = manager.thread("lived")
        known = 0
        for recorded, replayed in zip(run.calls, outcome.calls, strict=True):
            manager.clock = partial(float, replayed.at)
            thread.append(list(run.messages[known : recorded.n_before]))
            call = thread.assemble()
            ledger = thread.record(call, run.messages[recorded.n_before])
            known = recorded.n_before + 1
            assert replayed.ledger is not None
            assert replayed.ledger.decisions == ledger.decisions
            assert replayed.ledger.prefix == ledger.prefix
            assert replayed.usage.input_tokens == ledger.input_tokens
    assert sum(call.moved for call in outcome.calls) > 1, "a window this tight has to move"


def test_evidence_that_is_quoted_is_there() -> None:
    """A turn that left the window counts where its words come back inside a quote."""
    wires = conversation(7, n_calls=14)
    wires[2]["content"] = "The badge of the visitor from Lisbon is number 4711."
    asked = [{"question": "Which badge has the visitor from Lisbon?", "evidence": [2]}]
    run = recording({"id": "asked", "messages": wires, "questions": asked})
    window = {"kind": "sliding_window", "low_water": 0.4, "sinks": 0, "keep_task": False}
    found = {
        name: replay.run(run, {**TIGHT, "policies": policies}, PROVIDER).evidence
        for name, policies in {
            "window": [window],
            "quoted": [{"kind": "retrieve", "max_tokens": 400}, window],
        }.items()
    }
    assert (found["window"].asked, found["window"].whole) == (1, 0)
    assert (found["quoted"].asked, found["quoted"].whole) == (1, 1)


def test_an_append_only_run_costs_what_the_rule_says(provider: replay.Provider) -> None:
    """Read what the call before wrote, write what is new: counted by hand, message by message."""
    run = recording({"id": "r", "messages": conversation(5, n_calls=10)})
    (summary,) = replay.compare([run], [replay.everything()], provider).summaries
    counter, rule = provider.counter, provider.rule
    frame = counter.tokens(counter.measure_frame(()))
    billed, before = 0.0, 0
    for recorded in run.calls:
        said = run.messages[: recorded.n_before]
        total = frame + sum(counter.tokens(counter.measure(message)) for message in said)
        if total < rule.minimum_tokens:
            billed += total
        else:
            billed += before * rule.read_multiplier + (total - before) * rule.ttl().write
            before = total
    assert sum(call.billed_tokens for call in summary.calls) == pytest.approx(billed)
    row = summary.to_json()
    assert row["kept_share"] == 1.0
    assert row["grounded"] == row["reachable"] == 1.0
    assert row["input_usd"] == pytest.approx(billed * 3 / 1e6)
    assert row["uncached_usd"] == pytest.approx(row["full_tokens"] * 3 / 1e6)


def _timed(times: Sequence[str | None]) -> replay.Recording:
    wires = conversation(1, n_calls=len(times))
    answers = [i for i, wire in enumerate(wires) if wire["role"] == "assistant"]
    for at, stamp in zip(answers, times, strict=True):
        wires[at - 1]["timestamp"] = stamp
    return recording({"id": "timed", "messages": wires})


def test_a_gap_longer_than_the_ttl_is_paid_for(provider: replay.Provider) -> None:
    stamps = [f"2026-01-01T00:{n:02}:00" for n in range(8)]
    late = [*stamps[:6], "2026-01-01T02:00:00", "2026-01-01T02:01:00"]
    for times, read_at_7 in ((stamps, True), (late, False)):
        summary = replay.compare([_timed(times)], [replay.everything()], provider).summaries[0]
        assert (summary.calls[6].usage.cache_read_tokens > 0) is read_at_7
        assert summary.calls[7].usage.cache_read_tokens > 0


def test_a_clock_that_runs_back_is_named_and_no_gap(provider: replay.Provider) -> None:
    run = _timed(["2026-01-01T00:05:00", "2026-01-01T00:06:00", "2026-01-01T00:01:00",
                  None, "2026-01-01T00:01:20"])  # fmt: skip
    times, notes = moments(run, 10.0)
    first = times[0]
    assert [at - first for at in times] == [0, 60, 60, 70, 90]
    assert len(notes) == 1
    assert "runs back by 300.0 s before call 3" in notes[0]
    assert notes[0] in replay.compare([run], [replay.everything()], provider).notes


def test_without_times_calls_come_in_a_cadence(provider: replay.Provider) -> None:
    run = recordings(1)[0]
    short_lived = replay.Setup("5m", {"policies": [{"kind": "cacheable_prefix", "ttl": "5m"}]})
    read = [
        replay.compare([run], [short_lived], provider, cadence_s=seconds)
        .summaries[0]
        .to_json()["read_share"]
        for seconds in (10.0, 1000.0)
    ]
    assert read[0] > 0.5
    assert read[1] == 0


def test_what_does_not_fit_is_refused_and_counted(provider: replay.Provider) -> None:
    wires = conversation(2, n_calls=6)
    wires[7]["content"] = "word " * 4000
    setup = replay.Setup("bare", {"budget": {"window": 3000, "reply_reserve": 100},
                                  "policies": ["sliding_window", "cacheable_prefix"]})  # fmt: skip
    run = recording({"id": "r", "messages": wires})
    summary = replay.compare([run], [setup], provider).summaries[0]
    row = summary.to_json()
    refused = [call for call in summary.calls if call.refused]
    assert row["refused"] == len(refused) >= 1
    assert "BudgetExceeded" in refused[0].refused
    assert row["tool_calls"] == 5
    assert row["grounded"] < 1


def test_tools_and_schemas_are_part_of_every_call(provider: replay.Provider) -> None:
    tool = {"type": "function", "function": {"name": "bash", "description": "Runs. " * 100,
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}}}  # fmt: skip
    bare = {"id": "r", "messages": conversation(1, n_calls=4)}
    plain, with_tools = recording(bare), recording({**bare, "tools": [tool]})
    counter = provider.counter
    own = counter.tokens(counter.measure_frame(with_tools.tools))
    base = counter.tokens(counter.measure_frame(()))
    assert own - base > 100

    def full(run: replay.Recording, schema_tokens: int = 0) -> list[int]:
        found = replay.compare([run], [replay.everything()], provider, schema_tokens=schema_tokens)
        return [call.full_tokens for call in found.summaries[0].calls]

    assert [a - b for a, b in zip(full(with_tools), full(plain), strict=True)] == [own - base] * 4
    assert [a - b for a, b in zip(full(plain, 777), full(plain), strict=True)] == [777] * 4


def test_questions_are_asked_behind_the_run(provider: replay.Provider) -> None:
    wires = conversation(4, n_calls=12)
    lines = wires[3]["content"].split("\n")
    wires[3]["content"] = "\n".join([*lines[:40], "the launch code is 4471", *lines[40:]])
    asked = [{"question": "What is the launch code?", "evidence": ["4471"]},
             {"question": "And the newest file?", "evidence": [len(wires) - 2]}]  # fmt: skip
    run = recording({"id": "r", "messages": wires, "questions": asked})
    comparison = replay.compare(
        [run], [replay.everything(), replay.Setup("tight", TIGHT)], provider
    )
    whole, tight = (summary.to_json() for summary in comparison.summaries)
    assert (whole["questions"], whole["evidence"]) == (2, 1.0)
    assert tight["evidence"] == 0.5, "the window has moved past the code, not past the newest file"


def test_figures_add_up_over_recordings(provider: replay.Provider) -> None:
    runs = recordings(3)
    summary = replay.compare(runs, [replay.Setup("tight", TIGHT)], provider).summaries[0]
    single = [figures("tight", [outcome]) for outcome in summary.outcomes]
    row = summary.to_json()
    for name in ("calls", "input_tokens", "full_tokens", "moves", "tool_calls", "rewritten_tokens"):
        assert row[name] == sum(one[name] for one in single)
    billed = sum(call.billed_tokens for call in summary.calls)
    assert row["cost"] == pytest.approx(billed / row["full_tokens"])
    assert row["peak_tokens"] == max(one["peak_tokens"] for one in single) <= 2400
    assert row["invalid"] == 0


def test_nobody_is_asked(provider: replay.Provider) -> None:
    with replay.Setup("tight", TIGHT).manager(provider) as manager:
        call = manager.thread("t").assemble("hello")
        with pytest.raises(contextkit.ContextKitError, match="a replay asks none"):
            manager.backend.complete(call)


def test_grounded_counts_add() -> None:
    assert Grounded(3, 2, 3) + Grounded(1, 0, 1) == Grounded(4, 2, 4)


class _Before(Policy):
    """Notes what it is told of the call before."""

    kind: ClassVar[str] = "before"
    stage: ClassVar[Stage] = Stage.SHRINK

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        before = turn.last_call
        return draft.note("none" if before is None else f"{len(before.messages)} messages before")


def test_policies_know_the_call_before_as_in_a_thread() -> None:
    run = recording({"id": "r", "messages": conversation(3, n_calls=4)})
    outcome = replay.run(run, {"policies": [_Before()]}, PROVIDER)
    notes = [call.ledger.notes[-1] for call in outcome.calls if call.ledger]
    n_shown = [f"{call.n_before} messages before" for call in outcome.calls[:-1]]
    assert notes == ["none", *n_shown]
