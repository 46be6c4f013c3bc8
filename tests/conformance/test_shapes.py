"""The shapes of made-up conversations: what each is, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.testing import SHAPES, Form, Shape, Transcript, conform, transcript, transcripts
from contextkit.validity import wire_problems

from . import trimmers

TOOLS = SHAPES["tools"]
FORMS: tuple[Form, ...] = ("openai", "anthropic")


def drawn_shapes() -> st.SearchStrategy[Shape]:
    """Shapes of a caller's own."""
    counts = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
    least = st.integers(1, 4)
    ranges = st.tuples(least, least).map(lambda pair: (min(pair), max(pair)))
    return st.builds(
        Shape,
        st.just("own"),
        turns=ranges,
        rounds=counts,
        calls=counts.map(lambda found: tuple(n + 1 for n in found)),
        result_words=ranges,
        system=st.sampled_from((0.0, 0.5, 1.0)),
        fresh=st.sampled_from((0.0, 0.5, 1.0)),
    )


@settings(max_examples=60, deadline=None)
@given(drawn_shapes(), st.integers(0, 99), st.sampled_from(FORMS))
def test_every_shape_gives_what_a_provider_takes(shape: Shape, seed: int, form: Form) -> None:
    case = transcript(seed, 1, form=form, shape=shape)
    assert case == transcript(seed, 1, form=form, shape=shape)
    assert case.calls[-1] == len(case.messages)
    for stop in case.calls:
        assert not wire_problems({"messages": list(case.messages[:stop])}, form)


@settings(max_examples=60, deadline=None)
@given(drawn_shapes(), st.integers(0, 99))
def test_a_conversation_is_within_its_shape(shape: Shape, seed: int) -> None:
    case = transcript(seed, 1, shape=shape)
    turns = turns_of(case)
    assert shape.turns[0] <= len(turns) <= shape.turns[1]
    assert all(len(calls) in shape.rounds for calls in turns[:-1])
    assert len(turns[-1]) in {*shape.rounds, *([0] if shape.fresh else [])}
    assert {n for calls in turns for n in calls} <= set(shape.calls)
    if shape.fresh == 1:
        assert case.messages[-1]["role"] == "user"
    if shape.system in (0, 1):
        assert (case.messages[0]["role"] == "system") == bool(shape.system)


def turns_of(case: Transcript) -> list[list[int]]:
    """For each request of the user how many calls each round behind it has."""
    turns: list[list[int]] = []
    for message in case.messages:
        if message["role"] == "user":
            turns.append([])
        elif message.get("tool_calls"):
            turns[-1].append(len(message["tool_calls"]))
    return turns


def test_the_default_conversations_are_the_ones_of_before() -> None:
    """Names such as `0/3` in bug reports and pages lead where they led."""
    said = json.dumps([[case.messages, case.calls] for case in transcripts(50)])
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == "9b687a7f8526a508"


def test_tools_ask_more_of_a_trimmer_than_the_default() -> None:
    """Nearly every history is over the budget, and every answered request had tools behind it."""
    cases = list(transcripts(100, shape=TOOLS))
    assert all(calls for case in cases for calls in turns_of(case)[:-1])
    assert 0.5 < sum(case.messages[-1]["role"] == "user" for case in cases) / len(cases) < 0.7
    reports = [conform(trimmers.whole, n_cases=100, shape=shape) for shape in SHAPES.values()]
    mixed, tools = (report.broken["budget"] + report.n_tight for report in reports)
    assert tools > mixed > 50


def test_a_report_names_its_shape() -> None:
    report = conform(trimmers.whole, n_cases=2, shape=TOOLS)
    assert report.to_dict()["shape"] == "tools"
    assert "shape tools" in report.table()


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_are_known_by_their_names(name: str) -> None:
    assert SHAPES[name].name == name
    assert transcript(0, 0, shape=replace(SHAPES[name], name="other")).messages == (
        transcript(0, 0, shape=SHAPES[name]).messages
    )
