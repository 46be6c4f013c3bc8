"""Laws 1-7 on every cell of policies x recorded conversations x budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from .conversations import Conversation, recorded, without_system
from .drive import BACKENDS, MODES, Drive, manager
from .judge import Broken
from .stacks import BUDGETS, STACKS, Stack

SHIPPED = ("tau_gpt4o_airline", "tau2_gptoss120b_airline")
BESIDE = "sweagent_claude4_dev"
PER_FILE = 2
"""Runs of each file that a stack meets in the full campaign, at every budget and with both counters."""

Note = Callable[[str, object], None]


def judge_cell(
    stack: Stack, conversation: Conversation, budget: int, backend: str, mode: str
) -> Counter[str]:
    """One cell; what broke is told together with the cell."""
    with manager(stack, budget, backend) as cm:
        try:
            outcome = Drive(cm, stack).run(conversation, mode)
        except Broken as broken:
            raise Broken(f"[{stack.name} {budget} {backend} {mode}] {broken}") from None
    return Counter({"cells": 1}) + outcome.counts


def for_budget(conversation: Conversation, budget: int) -> Conversation:
    """Where the recorded instructions fill the window every answer is a refusal; short ones then."""
    return without_system(conversation) if budget <= 2000 else conversation


@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_recorded_conversations_at_every_budget(stack: Stack, record_property: Note) -> None:
    """A sample of the table: a run each time another, short."""
    counts: Counter[str] = Counter()
    for n, budget in enumerate(BUDGETS):
        place = STACKS.index(stack) + n
        runs = recorded(SHIPPED[place % 2])
        conversation = for_budget(runs[place % len(runs)], budget)[:28]
        backend = list(BACKENDS)[place // 2 % 2]
        counts += judge_cell(stack, conversation, budget, backend, MODES[place % len(MODES)])
    record_property("laws", (stack.name, dict(counts)))
    assert counts["ok"] + counts["moved"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHIPPED, BESIDE])
@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_the_whole_table(stack: Stack, name: str, record_property: Note) -> None:
    runs = recorded(name)
    if not runs:
        pytest.skip(f"{name} is not shipped and no shared folder stands beside the checkout")
    counts: Counter[str] = Counter()
    for n, budget in enumerate(BUDGETS):
        for backend in BACKENDS:
            for turn in range(PER_FILE):
                place = STACKS.index(stack) * 3 + n * PER_FILE + turn
                conversation = for_budget(runs[place % len(runs)], budget)
                mode = MODES[place % len(MODES)]
                counts += judge_cell(stack, conversation, budget, backend, mode)
    record_property("laws", (stack.name, dict(counts)))
