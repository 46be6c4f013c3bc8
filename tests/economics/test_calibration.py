"""What reported usage teaches about a cache, and when it says that the rules are wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import contextkit
from contextkit.calibration import ENOUGH, Calibration
from contextkit.pricing import CacheRule, find_rule

BACKEND = {"kind": "echo", "provider": "anthropic", "model": "claude-opus-4-6"}  # at least 4,096


def stated() -> CacheRule:
    rule = find_rule("anthropic", "claude-opus-4-6")
    assert rule is not None
    return rule


def play(cm: contextkit.ContextManager, usages: list[dict[str, int]], gap_s: float = 10) -> Any:
    """One recorded call a usage, over a system of about 2,000 tokens; the thread."""
    now = 0.0
    cm.clock = lambda: now
    thread = cm.thread("t")
    if not len(thread):
        thread.append({"role": "system", "content": "Be exact. " * 700})
    for number, usage in enumerate(usages):
        call = thread.assemble(f"Question {number}")
        answer = contextkit.Message("assistant", (contextkit.TextPart("Yes."),))
        reported = contextkit.Usage(input_tokens=call.input_tokens, **usage)
        thread.record(call, contextkit.Reply(answer, reported))
        now += gap_s
    return thread


def open_manager(**fields: Any) -> contextkit.ContextManager:
    return contextkit.ContextManager(
        BACKEND, policies=["cacheable_prefix"], budget={"window": 20_000}, **fields
    )


def test_a_lower_minimum_is_learned_and_said() -> None:
    with open_manager() as cm:
        thread = play(
            cm,
            [
                {"cache_write_tokens": 2100},
                *[{"cache_read_tokens": 2000, "cache_write_tokens": 60}] * 3,
            ],
        )
        assert cm.rule is not None
        assert cm.rule.minimum_tokens == 2060
        notes = thread.turns()[-1].notes
    assert any("2,060 tokens were cached, the stated minimum is 4,096" in note for note in notes)


def test_it_takes_more_than_one_call() -> None:
    with open_manager() as cm:
        thread = play(cm, [{"cache_write_tokens": 2100}] * (ENOUGH - 1))
        assert cm.rule == stated()
        assert not any(ledger.notes for ledger in thread.turns())


def test_a_longer_life_is_learned() -> None:
    with open_manager() as cm:
        thread = play(
            cm, [{"cache_write_tokens": 5000}, *[{"cache_read_tokens": 5000}] * 4], gap_s=900
        )
        assert cm.rule is not None
        assert cm.rule.ttl().seconds == 900
        notes = thread.turns()[-1].notes
    assert any("read after 900 s, the stated TTL is 300 s" in note for note in notes)


def test_misses_in_a_row_are_said() -> None:
    backend = {**BACKEND, "model": "claude-sonnet-4-5"}
    with contextkit.ContextManager(
        backend, policies=["cacheable_prefix"], budget={"window": 20_000}
    ) as cm:
        thread = play(cm, [{"cache_write_tokens": 2100}] * 5)
        notes = thread.turns()[-1].notes
    assert any("calls in a row read nothing" in note for note in notes)


def test_what_was_learned_is_kept(tmp_path: Any) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path / 'h.db'}"}
    with open_manager(history=history) as cm:
        play(cm, [{"cache_write_tokens": 2100}] * 3)
    with open_manager(history=history) as cm:
        assert cm.rule == replace(stated(), minimum_tokens=2100)


def test_a_higher_minimum_is_learned_and_unlearned() -> None:
    seen = Calibration(largest_uncached=5000, n_large=ENOUGH)
    assert seen.applied(stated()).minimum_tokens == 5001
    assert "5,000 tokens were not cached" in seen.contradictions(stated())[0]


@pytest.mark.parametrize("seen", [Calibration(), Calibration(2, 1, 3, 4, 5.5, 6, 7)])
def test_round_trip(seen: Calibration) -> None:
    assert Calibration.load(seen.dump()) == seen
