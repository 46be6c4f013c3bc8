"""Keeping a cache over a pause: the number of reads against every other number, and what a thread does."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit import replay
from contextkit.cache_sim import CacheSimulator, call_blocks
from contextkit.pricing import CacheRule, find_rule
from contextkit.warming import cheapest, n_reads

from ..replay.making import conversation, recording

TEXT = "The manual of the build. " + "step " * 2000
BACKEND = {
    "kind": "echo",
    "provider": "anthropic",
    "model": "claude-sonnet-4-6",
    "dialect": "anthropic",
}
SHORT_LIVED = [{"kind": "cacheable_prefix", "ttl": "5m"}]


def manager(**backend: Any) -> contextkit.ContextManager:
    return contextkit.load({"backend": {**BACKEND, **backend}, "policies": SHORT_LIVED})


def rule_of(model: str = "claude-sonnet-4-6", provider: str = "anthropic") -> CacheRule:
    rule = find_rule(provider, model)
    assert rule is not None
    return rule


# -- how many reads --------------------------------------------------------------------------------


def spent(n: int, most: int, read: float, lapse: float) -> float:
    """What a pause of `n` reads costs when `most` are sent before giving up."""
    return n * read if n <= most else most * read + lapse


@given(
    st.lists(st.integers(0, 40), max_size=16),
    st.floats(0.01, 10),
    st.floats(0.01, 100),
    st.booleans(),
)
def test_no_other_number_of_reads_is_cheaper(
    pauses: list[int], read: float, lapse: float, ends: bool
) -> None:
    most, saved = cheapest(pauses, read, lapse, ends=ends)

    def whole(number: int) -> float:
        endless = 0.0 if ends else number * read
        return sum(spent(n, number, read, lapse) for n in pauses) + endless

    best = min(whole(number) for number in range(42) if number * read <= lapse)
    assert whole(most) <= best + 1e-6
    never = sum(lapse for n in pauses if n)
    assert saved * max(1, len(pauses) + (not ends)) == pytest.approx(never - whole(most), abs=1e-6)
    assert most * read <= lapse


@pytest.mark.parametrize(("pause_s", "reads"), [(0, 0), (285, 0), (286, 1), (570, 1), (900, 3)])
def test_a_pause_takes_a_read_for_each_lifetime_that_passes(pause_s: float, reads: int) -> None:
    assert n_reads(pause_s, 285.0) == reads


# -- a thread, and the simulated cache -------------------------------------------------------------


def bill(pause_s: float, reads: int, every_s: float, *, model: str) -> float:
    """Two calls with a pause between, and so many reads in it, as the simulator bills them."""
    with manager(model=model) as cm:
        thread, cache = cm.thread("t"), CacheSimulator(rule_of(model))
        cm.clock = lambda: 0.0
        first = thread.assemble(TEXT)

        def serve(call: contextkit.Call, now: float) -> float:
            tokens = cm.counter.tokens
            blocks, points = call_blocks(
                call, lambda m: tokens(cm.counter.measure(m)), call.ledger.frame_tokens
            )
            return cache.serve(blocks, points, now).billed_tokens

        billed = serve(first, 0.0)
        thread.record(first, "Understood.")
        billed += sum(serve(first, (n + 1) * every_s) for n in range(reads))
        return billed + serve(thread.assemble("And then?"), pause_s)


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-sonnet-5-5"])
@pytest.mark.parametrize("minutes", [2, 6, 20, 50, 58, 90, 180])
def test_keeping_is_chosen_where_the_simulated_bill_is_lower(model: str, minutes: int) -> None:
    pause_s = minutes * 60.0
    with manager(model=model) as cm:
        thread = cm.thread("t")
        thread.respond(TEXT)
        warming = thread.keep_warm(expected_s=pause_s)
    needed = n_reads(pause_s, 285.0)
    lapsed, kept = (bill(pause_s, n, 285.0, model=model) for n in (0, needed))
    if warming is None:
        assert not needed or lapsed <= kept + 1e-6
    else:
        assert (warming.reads, warming.every_s) == (needed, 285.0)
        assert kept < lapsed
        assert warming.saved_tokens == pytest.approx(lapsed - kept, rel=0.02)


def test_what_is_sent_is_the_last_call_for_hardly_any_output() -> None:
    with manager() as cm:
        thread = cm.thread("t")
        assert thread.keep_warm(expected_s=900) is None
        thread.respond(TEXT)
        warming = thread.keep_warm(expected_s=900)
        assert warming is not None
        assert thread.last_call is not None
        assert warming.call.fingerprint == thread.last_call.fingerprint
        assert warming.call.cache_points == thread.last_call.cache_points
        assert warming.call.max_output_tokens == 1
        assert "900 s" in warming.why
        n_entries = len(thread)
        cm.backend.complete(warming.call)
        with pytest.raises(contextkit.ContextKitError, match="was not assembled"):
            thread.record(warming.call, "nothing")
        assert len(thread) == n_entries


def test_other_forms_ask_for_more_output() -> None:
    with manager(provider="openai", model="gpt-5.6-sol", dialect="responses") as cm:
        thread = cm.thread("t")
        thread.respond(TEXT)
        warming = thread.keep_warm(expected_s=3600)
    assert warming is not None
    assert (warming.every_s, warming.call.max_output_tokens) == (1785.0, 16)


def test_pauses_that_were_seen_decide_where_nothing_is_known() -> None:
    """Short ones give no reason to read; longer ones do, until they are too long."""

    def after(*gaps: float) -> Any:
        with manager() as cm:
            thread, now = cm.thread("t"), 0.0
            for gap in (*gaps, 0.0):
                cm.clock = partial(float, now)
                thread.record(thread.assemble("Go on. " + TEXT), "Done.")
                now += gap
            return thread.keep_warm()

    assert after(10, 20, 30, 10) is None
    warming = after(10, 400, 10, 500, 600)
    assert (warming.reads, warming.every_s) == (2, 285.0)
    assert "the latest 5 pauses" in warming.why
    assert after(7200, 9000, 7200, 8000) is None


def test_a_cache_that_was_kept_is_not_cold() -> None:
    """Then edits move a prefix as ever, and the next call is expected to read."""
    with manager() as cm:
        thread = cm.thread("t")
        cm.clock = lambda: 1000.0
        thread.respond(TEXT)
        cm.clock = lambda: 1000.0 + 400
        assert thread.assemble("And then?").ledger.forecast.read_tokens == 0
        cm.clock = lambda: 1000.0 + 285
        thread.warmed()
        cm.clock = lambda: 1000.0 + 400
        assert thread.assemble("And then?").ledger.forecast.read_tokens > 2000
        cm.clock = lambda: 1000.0 + 285 + 301
        assert thread.assemble("And then?").ledger.forecast.read_tokens == 0


def test_no_rules_no_reads() -> None:
    with contextkit.load({"backend": "echo"}) as cm:
        cm.thread("t").respond(TEXT)
        assert cm.thread("t").keep_warm(expected_s=900) is None


# -- replay ----------------------------------------------------------------------------------------


def paused(minutes: float) -> replay.Recording:
    """A run in which every fourth tool takes so long."""
    rng, now, out = random.Random(1), 0.0, []
    for n, message in enumerate(conversation(1, n_calls=24)):
        now += minutes * 60 if n % 8 == 7 else rng.uniform(1, 9)
        out.append({**message, "timestamp": now})
    return recording({"id": "r", "messages": out})


def test_entries_of_an_hour_need_no_reads() -> None:
    with contextkit.load({"backend": BACKEND, "policies": ["cacheable_prefix"]}) as cm:
        thread, now = cm.thread("t"), 0.0
        for gap in (400.0, 500.0, 600.0, 400.0, 500.0, 0.0):
            cm.clock = partial(float, now)
            thread.record(thread.assemble("Go on. " + TEXT), "Done.")
            now += gap
        assert thread.last_call is not None
        assert {point.ttl for point in thread.last_call.cache_points} == {"1h"}
        assert thread.keep_warm() is None


def costs(minutes: float, *, keep_warm: bool = False) -> dict[str, Any]:
    provider = replay.find_provider("anthropic:claude-sonnet-4-6")
    setup = replay.Setup("short-lived", {**replay.everything().fields, "policies": SHORT_LIVED})
    compared = replay.compare([paused(minutes)], [setup], provider, keep_warm=keep_warm)
    figures: dict[str, Any] = compared.to_json()["setups"][0]
    return figures


def test_replay_bills_the_reads_and_what_they_save() -> None:
    plain, warm = costs(8.0), costs(8.0, keep_warm=True)
    assert (plain["warm_reads"], warm["warm_reads"] > 0) == (0, True)
    assert warm["cost"] < plain["cost"]
    assert warm["input_usd"] < plain["input_usd"]
    assert warm["input_tokens"] == plain["input_tokens"]


def test_replay_reads_nothing_where_calls_come_quickly() -> None:
    plain, warm = costs(1.0), costs(1.0, keep_warm=True)
    assert warm["warm_reads"] == 0
    assert warm["cost"] == plain["cost"]


def test_reads_before_a_call_that_cannot_be_made_are_billed_with_the_next() -> None:
    """A result too large for the window is refused; what was read before it was read all the same."""
    said = conversation(1, n_calls=16)
    large, now = 17, 0.0
    assert said[large]["role"] == "tool"
    for n, message in enumerate(said):
        now += 480 if n in (5, 9, 13, large) else 5
        message["timestamp"] = now
        message["content"] = "word " * (9_000 if n == large else 700)
    window = {"kind": "sliding_window", "sinks": 0}
    fields = {
        "budget": {"window": 8_000, "reply_reserve": 100},
        "policies": [window, *SHORT_LIVED],
    }
    provider = replay.find_provider("anthropic:claude-sonnet-4-6")
    run = recording({"id": "r", "messages": said})
    compared = replay.compare([run], [replay.Setup("small", fields)], provider, keep_warm=True)
    calls = compared.summaries[0].outcomes[0].calls
    (refused,) = [n for n, call in enumerate(calls) if call.refused]
    assert refused == (large - 1) // 2
    assert calls[refused].warm_reads == 0
    assert calls[refused + 1].warm_reads == 1
