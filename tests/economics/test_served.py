"""Real SDKs against a local provider with caches of its own: it and the simulator agree to the token."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import contextkit
from contextkit.cache_sim import Block, CacheSimulator, Layer, Point, Served
from contextkit.pricing import CacheRule, find_rule
from tests.fakes import anthropic_messages, counting
from tests.fakes.answers import Answer
from tests.fakes.provider import FakeProvider

AGENT: list[Any] = [
    {"kind": "tool_results", "high_water": 1.0, "min_gain": 1.0},
    {"kind": "read_once", "fill": 0.2},
    {"kind": "sliding_window", "sinks": 0, "low_water": 0.3, "high_water": 0.9},
    "left_out_note",
]
PREFIX: dict[str, Any] = {"kind": "cacheable_prefix"}
EAGER: list[Any] = [{"kind": "tool_results", "keep_recent": 1, "high_water": 0.0, "min_gain": 0.0}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Looks something up. " * 40,
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
    }
]


def rule_of(provider: str, model: str) -> CacheRule:
    found = find_rule(provider, model)
    assert found is not None
    return found


def talk(
    provider: FakeProvider, backend: Mapping[str, Any], policies: list[Any], seed: int, window: int
) -> Iterator[contextkit.Ledger]:
    """An agent that searches and reads, with pauses long and short; each turn's closed ledger."""
    rng = random.Random(seed)
    words = [f"{chr(97 + n % 26)}{n:03d}/part_{n}.py" for n in range(400)]

    def answer(body: dict[str, Any]) -> Answer:
        if rng.random() < 0.8:
            n_calls = rng.choice([1, 1, 1, 3])
            return Answer(
                "I look.", tuple(("search", {"q": rng.choice(words)}) for _ in range(n_calls))
            )
        return Answer("Found it. " * rng.randint(1, 30))

    provider.respond = answer
    config = {
        "backend": {"max_retries": 0, "api_key": "k", **backend},
        "budget": {"window": window, "reply_reserve": 400},
        "policies": policies,
    }
    with contextkit.load(config) as manager:
        manager.clock = lambda: provider.cache.now
        thread = manager.thread("t")
        thread.append({"role": "system", "content": "You are careful. " * rng.choice([5, 300])})
        asked: Any = "Where is it?"
        for _ in range(25):
            reply = thread.respond(asked, tools=TOOLS)
            asked = [
                {
                    "role": "tool",
                    "tool_call_id": call.id,
                    "content": " ".join(rng.choices(words, k=rng.choice([3, 20, 90]))),
                }
                for call in reply.message.tool_calls
            ] or "And the next?"
            provider.cache.now += rng.choice([1, 10, 10, 10, 250, 400, 4000])
        yield from thread.turns()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("policies", "window"),
    [
        ([*AGENT, PREFIX], 6000),
        ([*AGENT, {**PREFIX, "ttl": "1h"}], 9000),
        ([*EAGER, PREFIX], 60_000),
    ],
    ids=["agent", "hour", "eager"],
)
def test_anthropic(
    provider: FakeProvider, policies: list[Any], window: int, seed: int, monkeypatch: Any
) -> None:
    rule = rule_of("anthropic", "claude-sonnet-5")
    simulator = CacheSimulator(rule)
    simulated: list[Served] = []
    usage = anthropic_messages.usage

    def spied(body: dict[str, Any], *rest: Any) -> dict[str, Any]:
        simulated.append(simulator.serve(*_blocks(body), provider.cache.now))
        return usage(body, *rest)

    monkeypatch.setattr(anthropic_messages, "usage", spied)
    provider.cache_minimum = rule.minimum_tokens
    backend = {"kind": "anthropic", "model": "claude-sonnet-5", "base_url": provider.origin}
    ledgers = list(talk(provider, backend, policies, seed, window))
    assert not provider.refused
    for ledger, served, seen in zip(ledgers, simulated, provider.seen, strict=True):
        assert ledger.usage is not None
        assert (ledger.usage.input_tokens, ledger.usage.cache_read_tokens) == (
            served.usage.input_tokens,
            served.read_tokens,
        )
        assert ledger.usage.cache_write_tokens == sum(served.written_tokens.values())
        by_ttl = seen.usage["cache_creation"]
        assert served.written_tokens.get("1h", 0) == by_ttl["ephemeral_1h_input_tokens"]
        assert served.written_tokens.get("5m", 0) == by_ttl["ephemeral_5m_input_tokens"]
    assert any(s.read_tokens for s in simulated)


def _blocks(body: dict[str, Any]) -> tuple[list[Block], list[Point]]:
    """The request as the simulator reads it: each content block as rendered, marks apart."""
    blocks: list[Block] = []
    points: list[Point] = []
    n_tools = len(body.get("tools") or ())
    n_system = len(body.get("system") or ())
    for index, piece in enumerate(anthropic_messages.pieces_of(body)):
        layer: Layer = "tools" if index < n_tools else "messages"
        layer = "system" if n_tools <= index < n_tools + n_system else layer
        bare = anthropic_messages.bare(piece)
        blocks.append(Block(repr(bare), counting.count_json(piece), layer))
        if "cache_control" in piece:
            points.append(Point(index + 1, piece["cache_control"].get("ttl", "5m")))
    return blocks, points


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("policies", "window"), [(AGENT, 6000), (EAGER, 60_000)])
def test_openai(
    provider: FakeProvider, policies: list[Any], window: int, seed: int, monkeypatch: Any
) -> None:
    simulator = CacheSimulator(rule_of("openai", "gpt-4.1"))
    backend = {"kind": "openai", "model": "gpt-4.1", "base_url": provider.openai_url}
    moments: list[float] = []
    respond = provider.cache.is_live

    def spied(key: str) -> bool:
        if not moments or moments[-1] != provider.cache.now:
            moments.append(provider.cache.now)
        return respond(key)

    monkeypatch.setattr(provider.cache, "is_live", spied)
    ledgers = list(talk(provider, backend, policies, seed, window))
    assert not provider.refused
    read = 0
    for ledger, seen, now in zip(ledgers, provider.seen, moments, strict=True):
        tools = seen.body.get("tools") or []
        blocks = [Block(repr(tools), counting.count_openai_tools(tools), "tools")]
        for message in seen.body["messages"]:
            blocks.append(Block(repr(message), counting.openai_message(message)))
        served = simulator.serve(blocks, (), now)
        assert ledger.usage is not None
        assert ledger.usage.input_tokens == served.usage.input_tokens + 3  # the reply's priming
        assert ledger.usage.cache_read_tokens == served.read_tokens
        read += served.read_tokens
    assert read
