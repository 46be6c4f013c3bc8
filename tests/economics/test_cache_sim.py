"""The simulated cache against the providers' published rules, worked out by hand, and against laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.cache_rules import all_rules
from contextkit.cache_sim import Block, CacheSimulator, Point, Served
from contextkit.errors import ConfigError
from contextkit.pricing import CacheRule, find_rule

RULES = list(all_rules())


def simulator(provider: str, model: str) -> CacheSimulator:
    rule = find_rule(provider, model)
    assert rule is not None
    return CacheSimulator(rule)


def blocks(*tokens: int, name: str = "") -> list[Block]:
    return [Block((name, index), n) for index, n in enumerate(tokens)]


def figures(served: Served) -> tuple[int, int, int]:
    return served.read_tokens, sum(served.written_tokens.values()), served.fresh_tokens


def test_written_read_and_renewed_until_five_minutes_have_passed() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    first, longer = blocks(2000, 100), blocks(2000, 100, 50)
    assert figures(cache.serve(first, [Point(2)], 0)) == (0, 2100, 0)
    assert figures(cache.serve(first, [Point(2)], 299)) == (2100, 0, 0)
    assert figures(cache.serve(longer, [Point(3)], 598)) == (2100, 50, 0)  # renewed by the read
    assert figures(cache.serve(longer, [Point(3)], 899)) == (0, 2150, 0)  # 301 s without a use


def test_below_the_minimum_nothing_is_cached() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    assert figures(cache.serve(blocks(1000, 23), [Point(2)], 0)) == (0, 0, 1023)
    assert figures(cache.serve(blocks(1000, 24), [Point(2)], 1)) == (0, 1024, 0)


def test_entries_are_looked_for_twenty_blocks_back() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    cache.serve(blocks(2000), [Point(1)], 0)
    near, far = blocks(2000, *[10] * 20), blocks(2000, *[10] * 21)
    assert simulator_read(cache, near, 21) == 2000
    other = simulator("anthropic", "claude-sonnet-4-5")
    other.serve(blocks(2000), [Point(1)], 0)
    assert simulator_read(other, far, 22) == 0


def simulator_read(cache: CacheSimulator, call: list[Block], after: int) -> int:
    return cache.serve(call, [Point(after)], 1).read_tokens


def test_a_block_may_stand_for_several() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    cache.serve(blocks(2000), [Point(1)], 0)
    batch = [*blocks(2000), Block("batch", 900, n=21)]
    assert simulator_read(cache, batch, 2) == 0


def test_hours_and_minutes_in_one_call_are_billed_apart() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    call = blocks(3000, 500, 200)
    served = cache.serve(call, [Point(1, "1h"), Point(2, "5m")], 0)
    assert served.written_tokens == {"1h": 3000, "5m": 500}
    assert served.billed_tokens == 3000 * 2 + 500 * 1.25 + 200
    later = cache.serve(call, [Point(1, "1h"), Point(2, "5m")], 3000)
    assert (later.read_tokens, dict(later.written_tokens)) == (3000, {"5m": 500})


def test_an_edit_reads_up_to_the_last_point_before_it() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    head, tail, other = blocks(1500), blocks(800, 800, name="a"), blocks(300, name="b")
    cache.serve([*head, *tail], [Point(1), Point(3)], 0)
    assert figures(cache.serve([*head, *other], [Point(1), Point(2)], 1)) == (1500, 300, 0)


def test_a_changed_setting_loses_its_layer_and_what_is_behind() -> None:
    rule = find_rule("anthropic", "claude-sonnet-4-5")
    assert rule is not None
    call = [Block("t", 1100, "tools"), Block("s", 500, "system"), Block("m", 400)]
    points = [Point(1), Point(2), Point(3)]
    for name, read in (("tool_choice", 1600), ("speed", 1100), ("model", 0)):
        cache = CacheSimulator(rule)
        cache.serve(call, points, 0, settings={name: "a"})
        assert cache.serve(call, points, 1, settings={name: "a"}).read_tokens == 2000
        assert cache.serve(call, points, 1, settings={name: "b"}).read_tokens == read


def test_openai_reads_any_shared_prefix_in_steps_of_128_and_reports_no_write() -> None:
    cache = simulator("openai", "gpt-4.1")
    cache.serve(blocks(1000, 300, 300), (), 0)
    served = cache.serve([*blocks(1000, 300), Block("new", 500)], (), 10)
    assert served.read_tokens == 1300 - 1300 % 128
    assert served.usage.cache_write_tokens == 0
    assert cache.serve(blocks(1000), (), 10).read_tokens == 0  # under 1,024


def test_openai_of_today_reads_what_stood_at_the_end_of_an_earlier_input() -> None:
    cache = simulator("openai", "gpt-5.6")
    cache.serve(blocks(1000, 300, 300), (), 0)
    assert cache.serve(blocks(1000, 300, 300, 50), (), 10).read_tokens == 1600
    forked = [*blocks(1000, 300), Block("new", 500)]
    assert cache.serve(forked, (), 10).read_tokens == 0


def test_deepseek_keeps_inputs_outputs_and_prefixes_that_it_saw_shared() -> None:
    cache = simulator("deepseek", "deepseek-v4-pro")
    a, b, c = ([*blocks(500), Block(name, 100)] for name in "abc")
    answer = Block("answer", 40)
    cache.serve(a, (), 0, output=answer)
    assert cache.serve([*a, answer, Block("more", 10)], (), 1).read_tokens == 640
    assert cache.serve(b, (), 2).read_tokens == 0  # the shared part was no unit yet
    assert cache.serve(c, (), 3).read_tokens == 500


def test_the_local_engine_reads_whole_pages_and_forgets_nothing() -> None:
    cache = simulator("local", "pocket")
    cache.serve(blocks(100, 30), (), 0, output=Block("said", 20))
    served = cache.serve([*blocks(100, 30), Block("said", 20), Block("next", 7)], (), 1e9)
    assert served.read_tokens == 144
    assert served.cost_usd == 0


def test_a_clock_that_runs_backwards_counts_as_no_time() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    cache.serve(blocks(2000), [Point(1)], 1000)
    assert cache.serve(blocks(2000), [Point(1)], 0).read_tokens == 2000
    assert cache.serve(blocks(2000), [Point(1)], 1301).read_tokens == 0


def test_more_points_than_the_provider_takes() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    with pytest.raises(ConfigError, match="5 cache points; anthropic takes at most 4"):
        cache.serve(blocks(*[500] * 5), [Point(n) for n in range(1, 6)], 0)


CALLS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3), min_size=1, max_size=12),
        st.lists(st.integers(1, 12), max_size=4, unique=True),
        st.floats(0, 5000),
    ),
    min_size=1,
    max_size=8,
)


@given(rule=st.sampled_from(RULES), calls=CALLS)
def test_laws(rule: CacheRule, calls: list[tuple[list[int], list[int], float]]) -> None:
    """Sums balance, nothing is read that no call sent, and a cache of nothing reads nothing."""
    cache, sent, now = CacheSimulator(rule), set[tuple[int, ...]](), 0.0
    for keys, points, gap in calls:
        now += gap
        call = [Block(key, 700 + 300 * key) for key in keys]
        marks = [Point(p) for p in sorted(points)][: rule.max_cache_points]
        served = cache.serve(call, marks, now)
        read, written, fresh = figures(served)
        assert read + written + fresh == sum(block.tokens for block in call)
        assert min(read, written, fresh) >= 0
        shared = max(
            (n for n in range(len(keys) + 1) if tuple(keys[:n]) in sent or n == 0), default=0
        )
        assert read <= sum(block.tokens for block in call[:shared])
        assert rule.mode != "none" or read == written == 0
        sent |= {tuple(keys[:n]) for n in range(len(keys) + 1)}


@given(
    st.sampled_from(RULES),
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), max_size=6), st.integers(0, 400)),
        min_size=2,
        max_size=8,
    ),
)
def test_what_comes_between_two_calls_changes_nothing(
    rule: CacheRule, calls: list[tuple[list[int], int]]
) -> None:
    """A call goes on from where the one before it parts from it, whichever call that was."""
    alone, mixed = CacheSimulator(rule), CacheSimulator(rule)
    now = 0
    for names, gap in calls:
        now += gap
        call = [Block(("shared", 0), 5000), *(Block(("said", name), 700) for name in names)]
        point = [Point(len(call))] if rule.mode == "explicit" else []
        mixed.serve([Block("another", 10)], (), now)
        assert mixed.serve(list(call), point, now) == alone.serve(call, point, now)


def test_a_caller_may_change_his_list_afterwards() -> None:
    cache = simulator("anthropic", "claude-sonnet-4-5")
    call = blocks(2000, 100)
    cache.serve(call, [Point(2)], 0)
    call[0] = Block("changed", 2000)
    assert figures(cache.serve(call, [Point(2)], 1)) == (0, 2100, 0)
