"""The judges find each fault, and nothing where there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contextkit.testing import (
    LAWS,
    Count,
    Form,
    Subject,
    Trim,
    conform,
    judge,
    transcript,
    transcripts,
)
from contextkit.testing.conformance import conform_each, wilson
from contextkit.testing.managed import managed
from contextkit.testing.wire import copied, known_by
from contextkit.validity import wire_problems

from . import trimmers

FORMS: tuple[Form, ...] = ("openai", "anthropic")
AGENT = {"policies": ["tool_results", "sliding_window", "cacheable_prefix"]}
ROOMY = 1_000_000


@pytest.mark.parametrize("form", FORMS)
def test_transcripts_are_valid_wherever_a_model_is_asked(form: Form) -> None:
    for case in transcripts(40, seed=3, form=form):
        assert case.calls[-1] == len(case.messages)
        for stop in case.calls:
            assert not wire_problems({"messages": list(case.messages[:stop])}, form), case.name


def test_transcripts_have_what_trimmers_stumble_over() -> None:
    text = json.dumps([list(case.messages) for case in transcripts(80)], ensure_ascii=False)
    batches = [len(m.get("tool_calls", ())) for c in transcripts(80) for m in c.messages]
    assert max(batches) == 4
    assert "image_url" in text
    assert "reasoning_content" in text
    assert "東京" in text
    assert len({len(case.calls) for case in transcripts(80)}) > 4
    assert "signature" in json.dumps([c.messages for c in transcripts(80, form="anthropic")])


def test_a_transcript_is_made_again_from_its_name() -> None:
    seed, index = 5, 17
    alone = transcript(seed, index)
    assert alone == list(transcripts(20, seed=seed))[index]
    assert alone == next(transcripts(1, seed=seed, first=index))
    assert alone != transcript(seed, index + 1)


@pytest.mark.parametrize(
    ("trim", "law"),
    [
        (trimmers.tail, "valid"),
        (trimmers.empty, "valid"),
        (trimmers.without_request, "request"),
        (trimmers.without_system, "system"),
        (trimmers.doubled, "order"),
        (trimmers.reordered, "order"),
        (trimmers.mutating, "unmutated"),
        (trimmers.Counting(), "deterministic"),
        (trimmers.raising, "answers"),
        (trimmers.nothing, "answers"),
    ],
)
def test_a_fault_is_found(trim: Any, law: str) -> None:
    budget = 300 if trim is trimmers.tail else ROOMY
    report = conform(trim, n_cases=15, budget_tokens=budget)
    assert report.broken[law] > 0
    assert report.examples[law]
    assert not report.holds


def test_what_is_whole_and_fits_breaks_nothing() -> None:
    report = conform(trimmers.whole, n_cases=30, budget_tokens=ROOMY)
    assert report.holds, report.table()
    assert (report.n_moved, report.n_tight) == (0, 0)
    assert report.n_followed == sum(len(case.calls) - 1 for case in transcripts(30))


def test_what_is_whole_and_does_not_fit_is_over_budget() -> None:
    report = conform(trimmers.whole, n_cases=30)
    assert set(report.broken) == {"budget"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("budget", [300, 700])
def test_the_default_policies_break_nothing(form: Form, budget: int) -> None:
    report = conform(
        managed(AGENT, form=form), n_cases=9, budget_tokens=budget, form=form, every_call=True
    )
    assert report.holds, report.table()
    assert report.n_calls > 20
    assert report.moved_share < 1


def test_without_a_window_there_is_no_answer() -> None:
    report = conform(managed({"policies": []}), n_cases=8)
    assert set(report.broken) == {"answers"}
    assert "BudgetExceeded" in report.examples["answers"][0]


def test_an_anthropic_result_without_its_call_is_found() -> None:
    case = next(c for c in transcripts(40, form="anthropic") if _ends_in_results(c.messages[-1]))
    given = list(case.messages)
    alone = judge(given, given[-1:], ROOMY, Count(), "anthropic")
    assert "valid" in {finding.law for finding in alone}
    assert not judge(given, given, ROOMY, Count(), "anthropic")


def _ends_in_results(message: dict[str, Any]) -> bool:
    return isinstance(message["content"], list) and message["content"][0]["type"] == "tool_result"


def test_the_picture_of_the_newest_request_must_stay() -> None:
    case = next(c for c in transcripts(200) if isinstance(c.messages[-1]["content"], list))
    newest = {**case.messages[-1], "content": case.messages[-1]["content"][:1]}
    found = judge(case.messages, [*case.messages[:-1], newest], ROOMY, Count())
    assert [f.law for f in found] == ["request"]


def test_counting_an_answer_is_adding_up_its_messages() -> None:
    count = Count()
    messages = list(transcript(0, 1).messages)
    assert count(messages) == sum(count([m]) for m in messages) - 3 * (len(messages) - 1)
    assert count([]) == 0


def test_intervals_of_shares() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 0.0)
    share, low, high = wilson(204, 400)
    assert (round(share, 3), round(low, 3), round(high, 3)) == (0.51, 0.461, 0.559)
    assert wilson(0, 400)[2] == pytest.approx(0.0095, abs=1e-4)


def test_subjects_judged_together_are_judged_as_each_alone() -> None:
    subjects: list[Subject | Trim | str] = [
        trimmers.tail,
        trimmers.doubled,
        managed(AGENT),
        managed({"policies": []}),
    ]
    together = conform_each(subjects, n_cases=12, every_call=True)
    alone = [conform(subject, n_cases=12, every_call=True) for subject in subjects]
    assert [r.to_dict() for r in together] == [r.to_dict() for r in alone]
    assert {law for report in together for law in report.broken} >= {"valid", "order", "answers"}


def test_what_is_known_again_is_equal() -> None:
    """Equal values share their bytes, other values do not; copies share nothing."""
    value: Any = {"role": "user", "content": [{"type": "text", "text": "Grüße" * 2}], "n": 1.5}
    copy = copied(value)
    assert copy == value
    assert copy["content"][0] is not value["content"][0]
    assert known_by(copy) == known_by(value)
    for other in ({**value, "n": 1}, {**value, "n": True}, {"role": "user"}, [value]):
        assert known_by(other) != known_by(value)
    odd = {"role": "user", "content": object()}
    assert copied(odd)["content"] is not odd["content"]
    assert known_by(odd) == known_by(odd)


def test_every_law_is_in_a_report() -> None:
    report = conform(trimmers.tail, n_cases=10, seed=1)
    told = report.to_dict()
    assert list(told["laws"]) == list(LAWS)
    assert json.loads(json.dumps(told)) == told
    for law in LAWS:
        assert law in report.table()


def test_answers_of_any_kind_are_judged() -> None:
    """Keys that are no text and values that hold themselves are findings, no errors of the judge."""
    given: list[Any] = [{"role": "user", "content": "hi"}]
    endless: list[Any] = []
    endless.append(endless)
    for answer in (
        [{("a", "b"): 1}],
        [{"role": "user", "content": endless}],
        [{1: 2, "role": "user"}],
    ):
        assert {finding.law for finding in judge(given, answer, 300, Count())} & {
            "valid",
            "answers",
        }
