"""Only what was retrieved changes places, groups whole, the best where they were asked to stand."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit import plugins
from contextkit.draft import Draft
from contextkit.errors import PolicyError
from contextkit.messages import text_message
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _groups
from contextkit_policies.reorder import arranged


class Brings(Policy):
    """Inserts one item for each score before the request, and one that is nobody's to move."""

    kind: ClassVar[str] = "brings"
    stage: ClassVar[Stage] = Stage.GATHER

    scores: tuple[float, ...] = ()
    section: str = "retrieved"
    sticky: bool = False

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        for number, score in enumerate(self.scores):
            draft = draft.insert(
                turn.request,
                [
                    text_message("user", f"d{number} opens"),
                    text_message("user", f"d{number} ends"),
                ],
                section=self.section,
                policy=self.kind,
                why=f"rank of d{number}",
                sticky=self.sticky,
                detail=_groups.label(score, f"d{number}"),
            )
        return draft


@pytest.fixture(autouse=True)
def _brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins._registered, ("policies", "brings"), Brings)


def _said(*policies: dict[str, Any]) -> tuple[contextkit.Call, list[str]]:
    cm = contextkit.load({"policies": list(policies)})
    thread = cm.thread("t")
    thread.append([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
    ])  # fmt: skip
    call = thread.assemble("Which gate?")
    return call, [message.text for message in call.messages]


SCORES = (0.1, 0.9, 0.5, 0.7)
BRINGS = {"kind": "brings", "scores": SCORES}


@pytest.mark.parametrize(
    ("settings", "order"),
    [
        ({"order": "best_first"}, "1320"),
        ({"order": "best_last"}, "0231"),
        ({}, "1203"),
        ({"anchor": "last"}, "3021"),
    ],
)
def test_groups_stand_where_they_were_asked_to(settings: dict[str, str], order: str) -> None:
    call, said = _said(BRINGS, {"kind": "reorder", **settings})
    opens = "".join(text[1] for text in said if text.endswith("opens"))
    assert opens == order
    for place, text in enumerate(said):
        if text.endswith("opens"):
            assert said[place + 1] == text.replace("opens", "ends"), "a group was cut"
    assert said[:3] == ["be brief", "hello", "hi"]
    assert said[-1] == "Which gate?"
    plain, _ = _said(BRINGS)
    assert call.input_tokens == plain.input_tokens
    told = [d for d in call.ledger.decisions if d.section == "retrieved"]
    assert all(d.policy == "brings" and "rank of" in d.why and "reorder" in d.why for d in told)


@pytest.mark.parametrize("brings", [
    {**BRINGS, "section": "summaries"}, {**BRINGS, "sticky": True}, {**BRINGS, "scores": (0.3,)},
])  # fmt: skip
def test_nothing_else_moves(brings: dict[str, Any]) -> None:
    assert _said(brings, {"kind": "reorder"})[1] == _said(brings)[1]


def test_the_next_call_repeats_the_stable_prefix() -> None:
    cm = contextkit.load({"policies": [BRINGS, "reorder"]})
    thread = cm.thread("t")
    thread.append([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}])
    for n in range(4):
        call = thread.assemble(f"question {n}")
        assert not call.ledger.prefix.moved
        thread.record(call, {"role": "assistant", "content": f"answer {n}"})
    assert not cm.verify()


@given(st.integers(0, 40), st.sampled_from(["first", "last"]))
def test_ends_first_knows_no_parity(n: int, anchor: str) -> None:
    placed = arranged(range(n), "ends_first", anchor)
    assert sorted(placed) == list(range(n))
    if n:
        assert placed[0 if anchor == "first" else -1] == 0
    if n > 1:
        assert placed[-1 if anchor == "first" else 0] == 1
        # From either end the ranks only fall towards the middle.
        deepest = placed.index(n - 1)
        assert placed[: deepest + 1] == sorted(placed[: deepest + 1])
        assert placed[deepest:] == sorted(placed[deepest:], reverse=True)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["log", "d12"]))
def test_labels_are_read_back(score: float, group: str) -> None:
    told = _groups.read(_groups.label(score, group))
    assert told is not None
    assert told[1] == group
    assert told[0] == pytest.approx(score, rel=1e-5)
    assert _groups.read("duplicate of m3") is None
    assert _groups.read("") is None


def test_a_draft_refuses_to_arrange_what_is_not_of_this_call() -> None:
    class Wild(Policy):
        kind: ClassVar[str] = "wild"
        stage: ClassVar[Stage] = Stage.ARRANGE

        def apply(self, draft: Draft, turn: Turn) -> Draft:
            return draft.arrange(draft.pieces[:1], policy=self.kind, why="no reason")

    thread = contextkit.ContextManager(policies=[Wild()]).thread("t")
    with pytest.raises(PolicyError, match="wild may not move m0"):
        thread.assemble("hello")
