"""Recorded dollars: a run's bill as one measure, and rates learned from the bills of other runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contextkit import replay
from contextkit.replay.bills import bill_of, own_counter, shown_tools
from contextkit.replay.loop import Replayer

from .making import PROVIDER, recordings


def _billed(factor: float, **sizes: int) -> list[replay.Recording]:
    """Runs that were billed `factor` times what the shipped rates tell."""
    provider = replay.find_provider(PROVIDER, tokenizer="estimate")
    replayer = Replayer(provider)
    out: list[replay.Recording] = []
    with replay.everything().manager(provider) as manager:
        for one in recordings(8, **sizes):
            costed = replace(one, cost=1.0)
            bill = bill_of(costed, replayer.run(costed, manager).calls, provider)
            assert bill is not None
            dollars = own_counter(provider).tokens(bill.measure) * bill.unit_usd
            out.append(replace(one, cost=factor * dollars))
    return out


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_a_common_factor_is_learned_from_the_other_half(factor: float) -> None:
    held = replay.hold_against_recorded(_billed(factor), replay.find_provider(PROVIDER))
    assert held is not None
    assert held.unlearned_level == pytest.approx(1 / factor, rel=1e-3)
    assert abs(held.level - 1) < 0.35 * abs(held.unlearned_level - 1) + 0.01
    assert held.correlation is not None
    assert held.correlation > 0.9


def test_the_measure_of_a_bill_is_what_the_calls_cost() -> None:
    provider = replay.find_provider(PROVIDER, tokenizer="estimate")
    run = replace(recordings(1)[0], cost=1.0)
    with replay.everything().manager(provider) as manager:
        outcome = Replayer(provider).run(run, manager)
    bill = bill_of(replace(run, tools=()), outcome.calls, provider, schema_tokens=1)
    assert bill is not None
    told = own_counter(provider).tokens(bill.measure) * bill.unit_usd
    spent = sum((call.input_usd or 0) + (call.output_usd or 0) for call in outcome.calls)
    assert told == pytest.approx(spent, rel=0.01)


def test_tools_that_were_not_recorded_are_those_that_the_calls_show() -> None:
    (tool,) = shown_tools(recordings(1)[0])
    assert tool.name == "bash"
    assert tool.parameters is not None
    assert list(tool.parameters["properties"]) == ["command", "lines"]


def test_runs_without_a_bill_are_held_against_nothing() -> None:
    assert replay.hold_against_recorded(recordings(2), replay.find_provider(PROVIDER)) is None
