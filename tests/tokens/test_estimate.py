"""The estimate: near before it learned, nearer after, never led astray, the same everywhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.errors import ConfigError
from contextkit.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from contextkit.tokens import EstimatingCounter, Measure, TiktokenCounter, add, subtract
from contextkit.tokens.features import TEXT_FEATURES, text_features
from contextkit.tokens.rates import FAMILIES, FEATURES, prior
from contextkit.tools import Tool

from .samples import samples, transcripts

EXACT = {name: TiktokenCounter(name) for name in ("o200k_base", "cl100k_base")}
TRUTHS = [  # family, encoding that stands for the unknown tokenizer, its factor
    ("anthropic", "cl100k_base", 1.195),
    ("anthropic", "cl100k_base", 1.242),
    ("openai-unknown", "o200k_base", 1.0),
    ("openai-unknown", "cl100k_base", 1.0),
    ("generic", "o200k_base", 1.0),
    ("generic", "cl100k_base", 1.2),
]
Call = tuple[Measure, int]


def calls(
    run: list[Message], counter: EstimatingCounter, encoding: str, factor: float
) -> list[Call]:
    """Measure and true tokens of every call of a run: all that stands before each reply."""
    exact, truth, measure = EXACT[encoding], 0, counter.zero
    found: list[Call] = []
    for message in run:
        if message.role == "assistant" and truth:
            found.append((measure, round(truth * factor) + 3))
        truth += exact.tokens(exact.measure(message))
        measure = add(measure, counter.measure(message))
    return found


def error(counter: EstimatingCounter, call: Call) -> float:
    return abs(counter.tokens(call[0]) / call[1] - 1)


def conversation(seed: int, n_messages: int = 60) -> list[Message]:
    """A made-up agent run: prose, JSON results, code and logs in turn."""
    rng = random.Random(seed)
    kinds = ("prose", "json", "code", "log", "prose", "indented json")
    run = [text_message("system", samples(seed)["prose"])]
    for _ in range(n_messages):
        text = samples(rng.randint(0, 30))[rng.choice(kinds)]
        start = rng.randint(0, len(text) // 2)
        run.append(text_message("user", text[start : start + rng.randint(100, 1500)]))
        run.append(text_message("assistant", "I looked it up and will go on with the next step."))
    return run


@pytest.mark.parametrize(("family", "encoding", "factor"), TRUTHS)
def test_every_kind_of_text_is_near_and_below_the_upper_end(
    family: str, encoding: str, factor: float
) -> None:
    counter = EstimatingCounter(family)
    for seed in range(4):
        for kind, text in samples(seed).items():
            message = text_message("user", text)
            truth = EXACT[encoding].measure(message)[0] * factor
            measure = counter.measure(message)
            ratio = counter.tokens(measure) / truth
            assert 0.6 < ratio < 1.75, (kind, ratio)
            assert truth <= counter.upper(measure), (kind, ratio)


@pytest.mark.parametrize(("family", "encoding", "factor"), TRUTHS)
def test_recorded_transcripts_before_and_after_learning(
    family: str, encoding: str, factor: float
) -> None:
    runs = [calls(r, EstimatingCounter(family), encoding, factor) for r in transcripts(25)]
    if not runs:
        pytest.skip("tests/fixtures/agents/*.jsonl.gz are missing: nothing recorded to measure on")
    counter = EstimatingCounter(family)
    every = [call for run in runs for call in run]
    covered = sum(truth <= counter.upper(measure) for measure, truth in every)
    assert covered >= 0.99 * len(every)
    errors: list[float] = []
    for run in runs:
        counter = EstimatingCounter(family)
        for n, call in enumerate(run):
            if n >= 20:
                errors.append(error(counter, call))
                assert call[1] <= counter.upper(call[0])
            counter.observe(*call)
    assert sum(errors) / len(errors) < 0.02


@pytest.mark.parametrize(("family", "encoding", "factor"), TRUTHS)
def test_learning_converges(family: str, encoding: str, factor: float) -> None:
    counter = EstimatingCounter(family)
    seen = calls(conversation(1), counter, encoding, factor)
    unseen = calls(conversation(2), counter, encoding, factor)
    before = max(counter.upper(m) / t for m, t in unseen[-10:])
    for call in seen[:20]:
        counter.observe(*call)
    after = [error(counter, call) for call in unseen]
    assert sum(after) / len(after) < 0.03
    assert max(counter.upper(m) / t for m, t in unseen[-10:]) < before
    assert counter.n_observations == 20


def test_absurd_usage_changes_little() -> None:
    counter = EstimatingCounter("anthropic")
    seen = calls(conversation(1), counter, "cl100k_base", 1.2)
    for call in seen[:15]:
        counter.observe(*call)
    probe = seen[-1]
    before = counter.tokens(probe[0])
    for nonsense in (0, -5, 1, 10**12, probe[1] * 3, probe[1] // 3):
        counter.observe(probe[0], nonsense)
        assert counter.tokens(probe[0]) == before
        assert counter.upper(probe[0]) >= probe[1]
    counter.observe(counter.zero, 500)
    assert counter.tokens(probe[0]) == before
    for call in seen[15:30]:
        counter.observe(*call)
    assert error(counter, probe) < 0.03


def test_a_lasting_change_of_the_tokenizer_is_learned() -> None:
    counter = EstimatingCounter("anthropic")
    for call in calls(conversation(1), counter, "cl100k_base", 1.0)[:30]:
        counter.observe(*call)
    changed = calls(conversation(2), counter, "cl100k_base", 1.6)
    for call in changed[:40]:
        counter.observe(*call)
    assert error(counter, changed[-1]) < 0.05


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-10, 10**6)), max_size=40))
def test_whatever_is_observed_rates_stay_positive(seen: list[tuple[int, int]]) -> None:
    counter = EstimatingCounter("generic")
    measures = [counter.measure(text_message("user", t)) for t in samples().values()]
    for which, actual in seen:
        counter.observe(measures[which % len(measures)], actual)
    assert counter.tokens(counter.zero) == counter.upper(counter.zero) == 0
    for measure in measures:
        assert 0 < counter.tokens(measure) <= counter.upper(measure)


@given(st.text(), st.text())
def test_features_add_up_over_messages_and_split_back(first: str, second: str) -> None:
    counter = EstimatingCounter("generic")
    one, two = (counter.measure(text_message("user", text)) for text in (first, second))
    both = add(one, two)
    assert subtract(both, two) == one
    assert len(both) == len(counter.zero) == 2 + len(FEATURES)
    assert all(count >= 0 for count in both)
    assert counter.tokens(both) <= counter.upper(both)
    assert counter.upper(both) <= counter.upper(one) + counter.upper(two) + 1


@given(st.text())
def test_features_count_what_they_say(text: str) -> None:
    found = dict(zip(TEXT_FEATURES, text_features(text), strict=True))
    assert found["astral"] == sum(ord(c) > 0xFFFF for c in text)
    assert found["pieces"] * 4 <= sum(c.isalpha() or ord(c) > 0x7F for c in text)
    assert found["words"] <= len(text)


def test_groups_of_digits() -> None:
    found = dict(zip(TEXT_FEATURES, text_features("1 12 123 1234 1234567"), strict=True))
    assert found["numbers"] == 1 + 1 + 1 + 2 + 3
    assert found["spaced"] == 4


def test_state_round_trip_and_its_errors() -> None:
    counter = EstimatingCounter("anthropic", "anthropic")
    assert counter.state() == ""
    seen = calls(conversation(1), counter, "cl100k_base", 1.2)
    for call in seen[:10]:
        counter.observe(*call)
    other = EstimatingCounter("anthropic", "anthropic")
    other.restore(counter.state())
    assert other.state() == counter.state()
    assert [other.upper(m) for m, _ in seen] == [counter.upper(m) for m, _ in seen]
    other.restore("")
    assert other.state() == ""
    for wrong in ("{}", "not json", '{"mean": [1.0], "covariance": [[1.0]], "noise": 1}'):
        with pytest.raises(ConfigError, match="tokenizer state"):
            other.restore(wrong)
    short = json.loads(counter.state()) | {"mean": [1.0]}
    with pytest.raises(ConfigError, match="1 rates"):
        other.restore(json.dumps(short))


def test_two_processes_learn_the_same() -> None:
    program = (
        "from contextkit.tokens import EstimatingCounter\n"
        "from contextkit.messages import text_message\n"
        "c = EstimatingCounter('generic')\n"
        "for i in range(30):\n"
        "    m = c.measure(text_message('user', f'answer {i} of the flight {i * 7919} ' * i))\n"
        "    c.observe(m, c.tokens(m) + i)\n"
        "print(c.state())"
    )
    run = [sys.executable, "-c", program]
    outputs = {subprocess.run(run, check=True, capture_output=True).stdout for _ in range(2)}
    assert len(outputs) == 1


def test_threads_share_a_counter() -> None:
    counter = EstimatingCounter("generic")
    measure = counter.measure(text_message("user", samples()["prose"]))
    actual = counter.tokens(measure)

    def work() -> None:
        for _ in range(50):
            counter.observe(measure, actual)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counter.n_observations == 200


def test_reasoning_counts_where_it_is_sent() -> None:
    message = Message("assistant", (ReasoningPart("step by step " * 40), TextPart("Yes.")))
    plain = Message("assistant", (TextPart("Yes."),))
    there, not_there = (
        EstimatingCounter("anthropic", "anthropic"),
        EstimatingCounter("anthropic", "openai-chat"),
    )
    assert there.tokens(there.measure(message)) > 100
    assert not_there.measure(message) == not_there.measure(plain)


def test_tools_and_calls_cost() -> None:
    counter = EstimatingCounter("anthropic", "anthropic")
    tool = Tool("get_weather", "Weather of a city.", {"type": "object", "properties": {}})
    bare = counter.measure_frame(())  # a user text may have to stand first
    assert (counter.tokens(bare), counter.upper(bare)) == (0, 12)
    frame = counter.measure_frame([tool])
    assert 346 < counter.tokens(frame) < counter.upper(frame)
    call = Message("assistant", (ToolCallPart("1", "get_weather", '{"city": "Oslo"}'),))
    result = Message("user", (ToolResultPart("1", "rain"),))
    assert counter.tokens(counter.measure(call)) > counter.tokens(counter.measure(result)) > 0


def test_priors_of_every_family() -> None:
    for family in FAMILIES:
        assert len(prior(family).mean) == len(FEATURES)
        assert f"/{family}/" in EstimatingCounter(family).name
    assert not EstimatingCounter().exact
    with pytest.raises(ConfigError, match="anthropic, openai-unknown, generic"):
        EstimatingCounter("gemini")
