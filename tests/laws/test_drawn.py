"""Laws 1-7 on conversations that no one would have, but some process will log."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conversations import Conversation, Step, build, conversations
from .drive import BACKENDS, MODES, Drive, manager
from .stacks import BUDGETS, STACKS, Stack, stack
from .test_table import Note, judge_cell

QUIET = list(HealthCheck)
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "Looks it up.", "parameters": {
        "type": "object", "properties": {"q": {"type": "string", "description": "What"}}}}}
    for name in ("look_up", "another")
]  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(
    conversations(max_steps=12), st.sampled_from(STACKS), st.sampled_from(BUDGETS),
    st.sampled_from(list(BACKENDS)), st.sampled_from(MODES),
)  # fmt: skip
def test_drawn_conversations(
    conversation: Conversation, stack: Stack, budget: int, backend: str, mode: str
) -> None:
    judge_cell(stack, conversation, budget, backend, mode)


@pytest.mark.slow
@pytest.mark.parametrize("stack", STACKS, ids=lambda s: s.name)
def test_many_drawn_conversations(stack: Stack, record_property: Note) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
    @given(
        conversations(), st.sampled_from(BUDGETS), st.sampled_from(list(BACKENDS)),
        st.sampled_from(MODES),
    )  # fmt: skip
    def judged(conversation: Conversation, budget: int, backend: str, mode: str) -> None:
        counts.update(judge_cell(stack, conversation, budget, backend, mode))

    judged()
    record_property("laws", (stack.name, dict(counts)))


@settings(max_examples=30, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(conversations(max_steps=10), st.sampled_from(STACKS), st.sampled_from(list(BACKENDS)))
def test_drawn_conversations_with_tools(
    conversation: Conversation, stack: Stack, backend: str
) -> None:
    with manager(stack, 2000, backend) as cm:
        Drive(cm, stack, tools=TOOLS).run(conversation, "mixed")


FOUND: dict[str, tuple[list[Step], bool, bool, str, int, str, str]] = {
    "an id is used again after its answer": (
        [("user", 0, 3, 1), ("calls", 0, 3, 1), ("answer-all", 0, 3, 1), ("calls", 0, 3, 1),
         ("answer-all", 0, 3, 1)], False, True, "none", 2000, "exact", "append"),
    "a call nobody answered, then more": (
        [("thinking", 0, 3, 1), ("developer", 0, 3, 1)], True, False, "window", 2000, "exact", "input"),
    "pinned results stay as they were": (
        [("calls", 0, 3, 1), ("answer-all", 1, 400, 1)], False, False, "pin-tool-results-window", 2000,
        "exact", "append"),
    "stubs count before the window decides": (
        [("image", 0, 120, 1), ("assistant", 2, 3, 1), ("empty-user", 0, 3, 1), ("thinking", 0, 3, 1),
         ("assistant", 0, 3, 1)], True, False, "window-edge", 500, "exact", "twice"),
    "stubs push a quiet window over": (
        [("calls", 0, 3, 3), ("user-blocks", 6, 3, 1), ("user-blocks", 1, 120, 1), ("calls", 7, 3, 3),
         ("calls", 0, 3, 1)], False, False, "pin-tool-results-window", 500, "exact", "append"),
    "late results inside a newer batch": (
        [("image", 0, 2500, 1), ("batches", 0, 3, 1), ("user-blocks", 0, 2500, 1), ("calls", 0, 3, 1),
         ("answer-all", 0, 3, 1)], False, False, "window-edge", 8000, "estimating", "input"),
    "a late result before a batch that uses its id again": (
        [("thinking", 0, 3, 1), ("image", 0, 3, 1), ("calls", 5, 2500, 1), ("answer-all", 0, 3, 1),
         ("calls", 0, 3, 3), ("empty-user", 0, 3, 1), ("assistant", 0, 3, 1), ("answer-all", 0, 3, 1)],
        True, True, "eager-edge-cache", 4000, "estimating", "twice"),
    "an orphan's text and a stub at one place": (
        [("user", 0, 2500, 1), ("calls", 0, 3, 1), ("user", 0, 3, 1), ("assistant-null", 0, 3, 1),
         ("answer-equal", 0, 3, 1), ("calls", 0, 3, 1), ("assistant-null", 0, 3, 1)],
        True, True, "pin-contains-window", 2000, "estimating", "mixed"),
    "a shortened result beside the request stays short": (
        [("calls", 0, 3, 1), ("answer-and-ask", 1, 40, 1), ("batches", 0, 3, 1)],
        True, False, "all", 500, "exact", "append"),
    "a blank user message is no request": (
        [("user", 0, 400, 1), ("user", 2, 40, 1), ("empty-user", 0, 3, 1), ("calls", 0, 3, 1),
         ("assistant", 0, 3, 1)], True, False, "window-many-sinks", 300, "exact", "twice"),
    "an empty newest message is not all there is": (
        [("calls", 0, 3, 2), ("answer-all", 0, 120, 1), ("assistant-empty", 0, 3, 1),
         ("assistant", 0, 3, 1)], True, False, "keep-many", 200, "estimating", "input"),
    "a note where a call still waits for its result": (
        [("calls", 0, 3, 1), ("calls", 0, 3, 1), ("system", 0, 3, 1), ("developer", 0, 400, 1),
         ("developer", 0, 400, 1), ("assistant", 0, 3, 1), ("user", 0, 3, 1)],
        True, False, "window-large-note", 500, "estimating", "append"),
}  # fmt: skip
"""What the drawn conversations have broken, made small."""


@pytest.mark.parametrize("case", FOUND)
def test_what_once_broke(case: str) -> None:
    steps, anthropic, reuse_ids, name, budget, backend, mode = FOUND[case]
    judge_cell(
        stack(name), build(steps, anthropic=anthropic, reuse_ids=reuse_ids), budget, backend, mode
    )
