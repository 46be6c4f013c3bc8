"""The laws on stacks with `compact_on_request`, whose tool here is the one that every agent calls."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.laws.conversations import Conversation, conversations, recorded
from tests.laws.drive import BACKENDS, MODES
from tests.laws.stacks import CACHE, EAGER, EDGE, NOTE, WINDOW, Row, Stack
from tests.laws.test_table import for_budget, judge_cell

HASTY: Row = {"kind": "compact_on_request", "tool": "look_up", "keep_task": False}
KEEPING: Row = {"kind": "compact_on_request", "tool": "get_reservation_details"}
PIN: Row = {"kind": "pin", "contains": ["PIN-ME"]}
STACKS = (
    Stack("compact", (HASTY,)),
    Stack("compact-window-cache", (HASTY, WINDOW, CACHE)),
    Stack("edge-compact-note", (EDGE, HASTY, NOTE)),
    Stack("pin-eager-compact-edge", (PIN, EAGER, HASTY, EDGE, CACHE)),
)
RECORDED = Stack("compact-recorded", (KEEPING, WINDOW, CACHE))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    conversations(max_steps=14), st.sampled_from(STACKS), st.sampled_from((300, 1000, 8000)),
    st.sampled_from(list(BACKENDS)), st.sampled_from(MODES),
)  # fmt: skip
def test_drawn_conversations(
    conversation: Conversation, stack: Stack, budget: int, backend: str, mode: str
) -> None:
    judge_cell(stack, conversation, budget, backend, mode)


@pytest.mark.parametrize("budget", [2000, 8000])
def test_recorded_conversations(budget: int) -> None:
    counts = judge_cell(
        RECORDED,
        for_budget(recorded("tau_gpt4o_airline")[0], budget)[:30],
        budget,
        "exact",
        "mixed",
    )
    assert counts["ok"] + counts["moved"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_many_drawn_conversations(stack: Stack) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        conversations(), st.sampled_from((200, 500, 2000, 8000)), st.sampled_from(list(BACKENDS)),
        st.sampled_from(MODES),
    )  # fmt: skip
    def judged(conversation: Conversation, budget: int, backend: str, mode: str) -> None:
        judge_cell(stack, conversation, budget, backend, mode)

    judged()
