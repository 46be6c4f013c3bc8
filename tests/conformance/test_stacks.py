"""Every shipped policy stack on made-up transcripts: no call is invalid, none loses the request.

`docs/bench/conformance.py stacks` is the long form of this.
"""

from __future__ import annotations

import pytest

from contextkit.testing import Form, conform
from contextkit.testing.managed import managed
from tests.laws.stacks import STACKS, Stack

FORMS: tuple[Form, ...] = ("openai", "anthropic")
BUDGETS = (300, 500, 1000)


def judge_stack(stack: Stack, n_cases: int, place: int) -> None:
    """One stack on its own part of the transcripts; only `answers` may break: what is pinned stays."""
    rows = {"policies": [dict(row) for row in stack.policies], "embedder": stack.embedder}
    form = FORMS[place % 2]
    report = conform(
        managed(rows, form=form, name=stack.name),
        n_cases=n_cases,
        budget_tokens=BUDGETS[place % 3],
        first=place * n_cases,
        form=form,
        every_call=True,
        again=n_cases > 1,
    )
    broken = {law: report.examples[law] for law in report.broken if law != "answers"}
    assert not broken


@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_one_transcript(stack: Stack) -> None:
    judge_stack(stack, 1, STACKS.index(stack))


@pytest.mark.slow
@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_many_transcripts(stack: Stack, place: int) -> None:
    judge_stack(stack, 100, place)
