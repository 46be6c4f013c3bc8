"""Whose prices: unknown names are refused with the nearest; a YAML of one's own adds a row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contextkit import replay
from contextkit.errors import ConfigError, ReplayError

from .making import PROVIDER, recordings


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("anthropic:claude-sonet-4-5", "did you mean claude-sonnet-4-5"),
        ("antropic:claude-sonnet-4-5", "did you mean anthropic"),
        ("anthropic", "which model"),
        ("openai:gpt-99-nonesuch", "openai has no model 'gpt-99-nonesuch'"),
        ("", "there are anthropic"),
    ],
)
def test_unknown_names_are_refused_with_what_would_do(name: str, says: str) -> None:
    with pytest.raises(ReplayError) as caught:
        replay.find_provider(name)
    assert says in str(caught.value)


def test_a_row_of_ones_own(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "anthropic: {models: {claude-next: {minimum_tokens: 512, "
        "price: {input_usd: 7, output_usd: 21}}}}\n"
    )
    with pytest.raises(ReplayError, match=r"--rules: \{anthropic: \{models: \{claude-next"):
        replay.find_provider("anthropic:claude-next")
    found = replay.find_provider("anthropic:claude-next", rules=rules)
    assert found.rule.price is not None
    assert found.rule.price.input_usd == 7
    assert found.rule.minimum_tokens == 512
    summary = replay.compare(recordings(1), [replay.everything()], found).summaries[0].to_json()
    assert summary["uncached_usd"] == pytest.approx(summary["full_tokens"] * 7 / 1e6)


@pytest.mark.parametrize("name", ["openai:gpt-5.1", "deepseek:deepseek-v4-pro", "local:any"])
def test_other_caches_serve_too(name: str) -> None:
    row = replay.compare(recordings(1), [replay.everything()], replay.find_provider(name))
    assert row.summaries[0].to_json()["read_share"] > 0.3


def test_costs_in_several_currencies_are_refused() -> None:
    provider = replay.find_provider(PROVIDER)
    runs = recordings(2)
    euro = replace(runs[1], cost=0.4, currency="EUR")
    dollar = replace(runs[0], cost=0.5)
    for mixed in ([dollar, euro], [euro]):
        with pytest.raises(ReplayError, match=r"EUR \(run-1\).* the prices in USD"):
            replay.compare(mixed, [replay.everything()], provider)
    free = replace(euro, cost=None)
    assert replay.compare([dollar, free], [replay.everything()], provider).summaries


def test_faulty_configurations_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("- {kind: sliding_window, low_water: 2}\n")
    with pytest.raises(ConfigError, match="low_water"):
        replay.compare(recordings(1), [replay.load_setup(path)], replay.find_provider(PROVIDER))
    path.write_text("policies: [")
    with pytest.raises(ReplayError, match="is not YAML"):
        replay.load_setup(path)
    path.write_text("just text")
    with pytest.raises(ReplayError, match="must be a configuration"):
        replay.load_setup(path)


def test_stores_and_backends_of_a_configuration_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(
        "backend: {kind: anthropic, model: claude-opus-5, api_key: '${NO_SUCH_KEY}'}\n"
        f"history: {{kind: sql, url: 'sqlite:///{tmp_path / 'h.db'}'}}\n"
        "budget: {window: 4000}\n"
        "policies: [tool_results, sliding_window, cacheable_prefix]\n"
    )
    setup = replay.load_setup(path)
    row = replay.compare(recordings(1), [setup], replay.find_provider(PROVIDER)).summaries[0]
    assert row.to_json()["window"] == 4000
    assert not (tmp_path / "h.db").exists()
