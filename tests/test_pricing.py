"""Cache rules and prices: the vendors' own examples, computed by hand; laws over every row."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.cache_rules import all_rules, load_overrides
from contextkit.errors import ConfigError
from contextkit.pricing import CacheRule, cost, find_rule, forecast
from contextkit.usage import Usage

RULES = list(all_rules())
TOKENS = st.integers(0, 400_000)


def rule_of(provider: str, model: str) -> CacheRule:
    rule = find_rule(provider, model)
    assert rule is not None
    return rule


# Bills --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "ttl", "usage", "usd"),
    [
        # Anthropic's prompt-caching guide: a novel of 188,086 tokens, written and then read.
        # 188086 × 18.75 + 21 × 15 + 393 × 75 = 3,556,402.5; then 188086 × 1.50 for the first term.
        (
            "anthropic",
            "claude-opus-4-20250514",
            "5m",
            Usage(188_107, 393, 0, 188_086),
            3.556_402_5,
        ),
        ("anthropic", "claude-opus-4-20250514", "5m", Usage(188_107, 393, 188_086), 0.311_919),
        # The same guide: 100,000 tokens read at 0.50 per million, 50 after the cache point at 5.
        ("anthropic", "claude-opus-4-5", None, Usage(100_050, 0, 100_000), 0.050_25),
        # 2,000 × 4 + 140,000 × 0.20 + 8,000 × 8 + 1,500 × 20 = 130,000.
        ("anthropic", "claude-opus-5-5", "1h", Usage(150_000, 1500, 140_000, 8000), 0.130),
        # OpenAI's guide: 12,000 tokens written, then 12,000 read and 3,000 written.
        ("openai", "gpt-5.6-sol", "30m", Usage(12_000, 0, 0, 12_000), 0.060),
        ("openai", "gpt-5.6-sol", "30m", Usage(15_000, 0, 12_000, 3000), 0.0198),
        ("openai", "gpt-5.6-sol", "12h", Usage(15_000, 0, 12_000, 3000), 0.0348),
        # The whole call moves to the price of long prompts, one token over the limit.
        ("anthropic", "claude-haiku-5-5", None, Usage(100_000, 1000), 0.0105),
        ("anthropic", "claude-haiku-5-5", None, Usage(100_001, 1000), 0.052_500_5),
        ("gemini", "gemini-2.5-pro", None, Usage(300_000), 0.75),
        ("deepseek", "deepseek-v4-pro", None, Usage(1_000_000, 0, 1_000_000), 0.044),
        ("local", "pocket", None, Usage(8000, 500, 4000), 0.0),
    ],
)
def test_a_bill_is_the_vendors_own(
    provider: str, model: str, ttl: str | None, usage: Usage, usd: float
) -> None:
    bill = cost(rule_of(provider, model), usage, ttl)
    assert bill is not None
    assert bill.total_usd == pytest.approx(usd, rel=1e-6)


def test_without_a_price_there_is_no_bill_but_a_relative_cost() -> None:
    rule = rule_of("openai", "gpt-9")
    assert cost(rule, Usage(10_000, 10)) is None
    expected = forecast(rule, input_tokens=10_000, shared_prefix_tokens=10_000)
    assert (expected.cost_usd, expected.uncached_usd) == (None, None)
    assert expected.relative_cost == pytest.approx(0.1)


# Forecasts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "model", "sizes", "ttl", "gap_s", "tokens", "relative"),
    [
        # sizes: input, shared prefix, last cache point; tokens: read, write, fresh
        ("anthropic", "claude-sonnet-4-5", (5000, 0, 4000), None, None, (0, 4000, 1000), 1.2),
        ("anthropic", "claude-sonnet-4-5", (5000, 4000, 4000), None, 299, (4000, 0, 1000), 0.28),
        ("anthropic", "claude-sonnet-4-5", (5000, 4000, 4000), "5m", 301, (0, 4000, 1000), 1.2),
        ("anthropic", "claude-sonnet-4-5", (5000, 3000, 4000), "1h", 301, (3000, 1000, 1000), 0.66),
        ("anthropic", "claude-sonnet-4-5", (1023, 1023, 1023), None, 1, (0, 0, 1023), 1.0),
        ("anthropic", "claude-sonnet-4-5", (1024, 1024, 1024), None, 1, (1024, 0, 0), 0.1),
        ("anthropic", "claude-haiku-4-5", (4095, 0, 4095), None, None, (0, 0, 4095), 1.0),
        ("anthropic", "claude-opus-5-5", (1000, 600, 600), None, 1, (600, 0, 400), 0.43),
        ("anthropic", "claude-sonnet-4-5", (5000, 4000, 0), None, 1, (0, 0, 5000), 1.0),
        ("openai", "gpt-5.6", (15_000, 12_000, 0), None, 60, (12_000, 3000, 0), 0.33),
        ("openai", "gpt-5.6", (15_000, 12_000, 0), None, 1801, (0, 15_000, 0), 1.25),
        ("openai", "gpt-4o", (2000, 2000, 0), None, 60, (1920, 0, 80), 0.52),
        ("openai", "gpt-4o", (3000, 2000, 0), None, 60, (1920, 1024, 56), 0.68),
        ("openai", "gpt-4", (9000, 9000, 9000), None, 1, (0, 0, 9000), 1.0),
        ("gemini", "gemini-2.5-flash", (4000, 2047, 0), None, 1, (0, 4000, 0), 1.0),
        ("local", "pocket", (1000, 500, 0), None, 1e9, (496, 496, 8), 0.504),
        ("local", "pocket", (0, 0, 0), None, None, (0, 0, 0), 1.0),
    ],
)
def test_a_forecast_keeps_the_vendors_rules(
    provider: str,
    model: str,
    sizes: tuple[int, int, int],
    ttl: str | None,
    gap_s: float | None,
    tokens: tuple[int, int, int],
    relative: float,
) -> None:
    expected = forecast(
        rule_of(provider, model),
        input_tokens=sizes[0],
        shared_prefix_tokens=sizes[1],
        last_cache_point_tokens=sizes[2],
        ttl=ttl,
        gap_s=gap_s,
    )
    assert (expected.read_tokens, expected.write_tokens, expected.fresh_tokens) == tokens
    assert expected.relative_cost == pytest.approx(relative)


@pytest.mark.parametrize(("requests", "times"), [(2, 1.35), (10, 2.15)])
def test_rereading_a_prefix_costs_what_openai_says(requests: int, times: float) -> None:
    rule = rule_of("openai", "gpt-5.6")
    prefix = [0] + [10_000] * (requests - 1)
    calls = [forecast(rule, input_tokens=10_000, shared_prefix_tokens=p) for p in prefix]
    assert sum(call.relative_cost for call in calls) == pytest.approx(times)


@given(st.sampled_from(RULES), TOKENS, TOKENS, TOKENS, st.none() | st.floats(0, 1e6))
def test_tokens_add_up_and_the_relative_cost_is_bounded(
    rule: CacheRule, size: int, shared: int, point: int, gap_s: float | None
) -> None:
    for ttl in rule.ttls:
        expected = forecast(
            rule,
            input_tokens=size,
            shared_prefix_tokens=shared,
            last_cache_point_tokens=point,
            ttl=ttl.name,
            gap_s=gap_s,
        )
        parts = (expected.read_tokens, expected.write_tokens, expected.fresh_tokens)
        assert sum(parts) == size
        assert min(parts) >= 0
        assert rule.read_multiplier - 1e-9 <= expected.relative_cost <= ttl.write + 1e-9
        if expected.cost_usd is not None and expected.uncached_usd is not None:
            assert expected.cost_usd == pytest.approx(
                expected.relative_cost * expected.uncached_usd
            )


@given(st.sampled_from(RULES), TOKENS, TOKENS, TOKENS, TOKENS)
def test_a_longer_shared_prefix_never_costs_more(
    rule: CacheRule, size: int, point: int, one: int, other: int
) -> None:
    shorter, longer = (
        forecast(
            rule, input_tokens=size, shared_prefix_tokens=shared, last_cache_point_tokens=point
        )
        for shared in sorted((one, other))
    )
    assert longer.relative_cost <= shorter.relative_cost + 1e-9


@given(st.sampled_from(RULES), TOKENS, TOKENS, TOKENS)
def test_a_bill_that_came_as_forecast_is_the_forecast(
    rule: CacheRule, size: int, shared: int, point: int
) -> None:
    expected = forecast(
        rule, input_tokens=size, shared_prefix_tokens=shared, last_cache_point_tokens=point
    )
    bill = cost(rule, Usage(size, 0, expected.read_tokens, expected.write_tokens))
    if bill is None:
        assert expected.cost_usd is None
    else:
        assert bill.input_usd == pytest.approx(expected.cost_usd)


# The table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.provider}:{rule.pattern}")
def test_every_row_has_a_source_and_a_date(rule: CacheRule) -> None:
    assert all(rule.sources)
    assert date(2026, 1, 1) <= rule.as_of
    assert rule.price is None or rule.price.source
    assert rule.max_cache_points > 0 or rule.mode != "explicit"


@pytest.mark.parametrize(
    ("provider", "model", "pattern"),
    [
        ("anthropic", "claude-opus-5", "claude-opus-5"),
        ("anthropic", "claude-opus-5-5", "claude-opus-5-5"),
        ("anthropic", "claude-opus-5-20260724", "claude-opus-5"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5*"),
        ("anthropic", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5*"),
        ("Anthropic", "Claude-Opus-5", "claude-opus-5"),
        ("anthropic", "claude-opus-7", "*"),
        ("openai", "gpt-5.5-2026-04-23", "gpt-5.5"),
        ("openai", "gpt-5.5-something", "gpt-5.5*"),
        ("openai", "gpt-5.6-something", "gpt-5.6*"),
        ("openai", "gpt-4o-mini", "gpt-4o-mini"),
        ("bedrock", "us.anthropic.claude-opus-5", "*anthropic.claude-opus-5"),
        ("bedrock", "global.anthropic.claude-opus-5", "global.anthropic.claude-opus-5"),
        ("local", "", "*"),
    ],
)
def test_the_most_specific_pattern_wins(provider: str, model: str, pattern: str) -> None:
    assert rule_of(provider, model).pattern == pattern


@pytest.mark.parametrize("provider", ["", "echo", "as_of"])
def test_an_unknown_provider_has_no_rule(provider: str) -> None:
    assert find_rule(provider, "any") is None


def test_importing_pricing_reads_no_table() -> None:
    code = "import sys, contextkit.pricing; sys.exit('contextkit.cache_rules' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Overrides ----------------------------------------------------------------------------------------


def test_an_override_changes_its_fields_and_leaves_the_rest() -> None:
    overrides = {
        "as_of": date(2027, 1, 2),
        "anthropic": {"models": {"claude-opus-5": {"price": {"input_usd": 4.5, "output_usd": 20}}}},
    }
    rule = find_rule("anthropic", "claude-opus-5", overrides)
    assert rule is not None
    assert rule.price is not None
    assert (rule.price.input_usd, rule.minimum_tokens, rule.as_of) == (4.5, 512, date(2027, 1, 2))
    other = find_rule("anthropic", "claude-opus-4-8", overrides)
    assert other == rule_of("anthropic", "claude-opus-4-8")


def test_an_override_file_can_bring_a_provider(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        """
        as_of: 2027-01-02
        acme:
          default:
            sources: [https://acme.example/prices]
            mode: implicit
            minimum_tokens: 256
            max_cache_points: 0
            ttls: [{name: session, seconds: null}]
            read_multiplier: 0.5
        """,
        "utf-8",
    )
    rule = find_rule("acme", "roadrunner", load_overrides(path))
    assert rule is not None
    assert forecast(rule, input_tokens=512, shared_prefix_tokens=256).relative_cost == 0.75


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"openai": {"models": {"gpt-5": {"minimum_token": 1}}}},
            r"cache_rules\.openai\.models\.gpt-5\.minimum_token: unknown key; .*minimum_tokens",
        ),
        (
            {"openai": {"models": {"gpt-5": {"minimum_tokens": "many"}}}},
            r"models\.gpt-5\.minimum_tokens: .*integer",
        ),
        (
            {"openai": {"models": {"gpt-5": {"price": {"input_usd": -1, "output_usd": 1}}}}},
            r"gpt-5\.price\.input_usd: .*greater than or equal to 0",
        ),
        (
            {"openai": {"models": {"gpt-5": {"ttls": [{"name": "1d", "second": 1}]}}}},
            r"gpt-5\.ttls\.0\.second",
        ),
        ({"openai": {"default": {"mode": "magic"}}}, r"openai\.default\.mode: .*'explicit'"),
        ({"openai": {"default": {"read_multiplier": 2.0}}}, r"openai\.default\.read_multiplier"),
        ({"acme": {"models": {"x": {}}}}, r"cache_rules\.acme\.default\.as_of: Field required"),
        ({"openai": {"modles": {}}}, r"openai\.modles: unknown key; .*`models`"),
        ({"openai": [1]}, r"cache_rules\.openai: must be a mapping, not list"),
        ({"openai": {"models": {5: {}}}}, r"openai\.models\.5: the key must be text"),
    ],
)
def test_a_wrong_override_is_named_by_its_path(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_rule("anthropic", "claude-opus-5", overrides)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("openai: {models: {gpt-5: {mode: often}}}", "utf-8")
    with pytest.raises(ConfigError, match=r"prices\.yaml\.openai\.models\.gpt-5\.mode"):
        load_overrides(path)
    path.write_text("openai: [", "utf-8")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        load_overrides(path)


def test_an_unknown_ttl_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="has no '2h'; one of 5m, 1h"):
        rule_of("anthropic", "claude-opus-5").ttl("2h")
