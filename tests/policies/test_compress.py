"""What is old and large is told shorter in one step; the newest and the request stay; handles lead back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

import contextkit
from contextkit import plugins
from contextkit.compression import ProtectedMass
from contextkit.compression.methods import NAMES
from contextkit.compression.scoring import Asked, SurprisalScorer

ROWS = [{"id": n, "name": f"user {n}", "note": "all is well"} for n in range(60)]
_NUMBERS = re.compile(r"[\d,]+(?= tokens requested| achieved)")
ESSAY = " ".join(
    f"The garden behind the old house was quiet and lovely on evening {n}." for n in range(80)
)


def turn(n: int, result: str) -> list[dict[str, Any]]:
    call = {"id": f"c{n}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return [
        {"role": "user", "content": f"look {n}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{n}", "content": result},
        {"role": "assistant", "content": f"seen {n}"},
    ]


def manager(window: int, **fields: Any) -> contextkit.ContextManager:
    return contextkit.load(
        {
            "backend": {"kind": "echo", "context_window": 1_000_000},
            "budget": {"window": window, "reply_reserve": 100},
            "history": "memory",
            "policies": [{"kind": "compress", **fields}],
        }
    )


def test_old_results_become_json_that_still_parses() -> None:
    with manager(6000, keep_recent=1, rate=0.3) as cm:
        thread = cm.thread("t")
        for n in range(6):
            thread.append(turn(n, json.dumps(ROWS)))
        call = thread.assemble("what of user 31?")
        results = [m.text for m in call.messages if m.tool_results]
        assert [json.loads(text) == ROWS for text in results] == [False] * 5 + [True]
        assert ROWS[31] in json.loads(results[0])
        made = [d for d in call.ledger.decisions if d.policy == "compress"]
        assert len(made) == 5
        assert all("tokens requested" in d.why and "as json" in d.why for d in made)
        assert "m2" in results[0]
        assert json.dumps(ROWS) in thread.expand("m2").text


def test_a_call_with_room_is_left_alone() -> None:
    with manager(60_000) as cm:
        thread = cm.thread("t")
        for n in range(6):
            thread.append(turn(n, json.dumps(ROWS)))
        call = thread.assemble("and now?")
        assert not [d for d in call.ledger.decisions if d.policy == "compress"]


def test_a_step_is_committed_and_not_taken_again() -> None:
    with manager(6000, keep_recent=1, rate=0.3) as cm:
        thread = cm.thread("t")
        for n in range(6):
            thread.append(turn(n, json.dumps(ROWS)))
        thread.respond("what of user 31?")
        first = [m.text for m in thread.assemble("and user 7?").messages if m.tool_results]
        again = [m.text for m in thread.assemble("and user 9?").messages if m.tool_results]
        assert first == again


@pytest.mark.parametrize("passages", [True, False])
def test_passages_of_earlier_messages_by_words(passages: bool) -> None:
    with manager(
        1450, method="words", keep_recent=0, rate=0.5, passages=passages, over_tokens=64
    ) as cm:
        thread = cm.thread("t")
        thread.append(
            [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
        )
        thread.append(
            [{"role": "user", "content": ESSAY}, {"role": "assistant", "content": "read"}]
        )
        call = thread.assemble("What of the house?")
        said = next(m.text for m in call.messages if "garden" in m.text or "evening" in m.text)
        assert (len(said) < 0.8 * len(ESSAY)) is passages
        assert all(f"evening {n}" in said or f"{n}." in said for n in (0, 40, 79))


def test_too_much_that_is_protected_is_refused_where_so_configured() -> None:
    facts = " ".join(f"Gate {n} must not open before {n}:30." for n in range(150))
    for on_protected in ("error", "stub"):
        with manager(
            2000, method="words", keep_recent=0, rate=0.1, on_protected=on_protected
        ) as cm:
            thread = cm.thread("t")
            thread.append(turn(0, facts))
            if on_protected == "error":
                with pytest.raises(ProtectedMass):
                    thread.assemble("and now?")
                continue
            call = thread.assemble("Gate 41?")
            result = next(m.text for m in call.messages if m.tool_results)
            assert "Gate 41 must not open before 41:30." in result
            assert "m2" in result.splitlines()[-1]


@pytest.mark.parametrize("method", NAMES)
def test_every_method_under_the_policy(method: str) -> None:
    with manager(1450, method=method, keep_recent=0, rate=0.5, over_tokens=64) as cm:
        thread = cm.thread("t")
        for said in ("hello", ESSAY):
            thread.append(
                [{"role": "user", "content": said}, {"role": "assistant", "content": "read"}]
            )
        call = thread.assemble("What of the house?")
        (made,) = [d for d in call.ledger.decisions if d.policy == "compress"]
        requested, achieved = (int(n.replace(",", "")) for n in _NUMBERS.findall(made.why)[-2:])
        assert method in made.why
        assert 0 < achieved <= requested
        assert made.handle is not None
        assert ESSAY in thread.expand(made.handle).text


class Together(SurprisalScorer):
    """Counts the texts that it is asked about at once."""

    model: str = ""
    asked: ClassVar[list[int]] = []

    @property
    def at_once(self) -> int:
        return 8

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        self.asked.append(len(asked))
        return super().score_many(asked)


def test_the_texts_of_one_step_are_asked_about_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins._registered, ("scorers", "together"), Together)
    Together.asked.clear()
    told = {"method": "llmlingua", "scorer": "together", "keep_recent": 1, "rate": 0.3}
    with manager(4000, over_tokens=200, **told) as cm:
        thread = cm.thread("t")
        for n in range(5):
            thread.append(turn(n, f"Result {n}. {ESSAY}"))
        call = thread.assemble("what now?")
    results = [m.text for m in call.messages if m.tool_results]
    assert [text.startswith(f"Result {n}.") for n, text in enumerate(results)] == [True] * 5
    assert [len(text) < 0.5 * len(ESSAY) for text in results] == [True] * 4 + [False]
    assert Together.asked[:2] == [4, 4], "a document of each, then a segment of each"
