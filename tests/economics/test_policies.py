"""What leaves a call leaves its names behind: `read_once`, `left_out_note`, and where points are set."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pytest

import contextkit
from contextkit import Call, Thread
from contextkit.draft import Draft
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _gist as gists

NOW: dict[str, Any] = {"kind": "read_once", "fill": 0.0, "over_share": 0.02}
LISTING = "\n".join(f"/srv/app/module_{n:02d}.py: class Handler{n:02d}" for n in range(40))
LOG = f"{LISTING}\nERROR: connection to db-7f3a refused\n3 passed, 1 failed"


def manager(*policies: Any, window: int = 6000, **backend: Any) -> contextkit.ContextManager:
    return contextkit.ContextManager(
        {"kind": "echo", **backend},
        budget={"window": window, "reply_reserve": 100},
        policies=policies,
    )


def step(thread: Thread, call: Call, n: int, *texts: str, arguments: str = "{}") -> None:
    """The model asks for tools, and they answer."""
    calls = [
        {"id": f"c{n}.{i}", "type": "function", "function": {"name": "run", "arguments": arguments}}
        for i in range(len(texts))
    ]
    thread.record(call, {"role": "assistant", "content": None, "tool_calls": calls})
    thread.append(
        [{"role": "tool", "tool_call_id": f"c{n}.{i}", "content": t} for i, t in enumerate(texts)]
    )


def start(cm: contextkit.ContextManager) -> tuple[Thread, Call]:
    thread = cm.thread("t")
    thread.append("Fix the handlers.")
    return thread, thread.assemble()


# -- read_once -------------------------------------------------------------------------------------


def test_a_large_result_is_whole_once_and_then_its_names_and_verdicts() -> None:
    with manager(NOW) as cm:
        thread, call = start(cm)
        step(thread, call, 0, LOG)
        reading = thread.assemble()
        assert LOG in reading.to_text()
        step(thread, reading, 1, "ok")
        later = thread.assemble()
        assert "".join(m.text for m in thread.expand("m2")) == LOG
    text = later.to_text()
    assert LOG not in text
    for name in ("/srv/app/module_00.py", "Handler17"):
        assert name.strip("/") in text
    for verdict in ("ERROR: connection to db-7f3a refused", "3 passed, 1 failed"):
        assert verdict in text
    assert "m2" in text
    assert later.ledger.find("m2").policy == "read_once"


def test_the_next_call_goes_on_from_what_was_not_announced_as_shown_once() -> None:
    with manager(NOW, "cacheable_prefix", provider="anthropic", model="claude-sonnet-4-5") as cm:
        thread, call = start(cm)
        step(thread, call, 0, LOG)
        reading = thread.assemble()
        step(thread, reading, 1, "ok")
        later = thread.assemble()
    assert not later.ledger.prefix.moved
    once = next(d for d in reading.ledger.decisions if d.volatile)
    assert once.piece == "m2"
    assert max(point.after for point in reading.cache_points) == 2  # before the result


def test_nothing_is_shortened_while_nothing_presses() -> None:
    with manager({**NOW, "fill": 0.9}) as cm:
        thread, call = start(cm)
        step(thread, call, 0, LOG)
        step(thread, thread.assemble(), 1, "ok")
        assert LOG in thread.assemble().to_text()


def test_small_results_images_and_pins_stay() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    with manager({"kind": "pin", "contains": ["KEEP"]}, NOW) as cm:
        thread, call = start(cm)
        step(thread, call, 0, "short answer", f"KEEP {LOG}")
        step(thread, thread.assemble(), 1, "ok")
        text = thread.assemble().to_text()
        assert "short answer" in text
        assert f"KEEP {LOG}" in text
        ask = {"id": "i", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        thread.record(
            thread.assemble(), {"role": "assistant", "content": None, "tool_calls": [ask]}
        )
        content = [{"type": "text", "text": LOG * 2}, image]
        thread.append({"role": "tool", "tool_call_id": "i", "content": content})
        step(thread, thread.assemble(), 2, "ok")
        assert LOG * 2 in thread.assemble().to_text()


def test_results_that_were_answered_before_any_call_need_not_be_whole() -> None:
    with manager(NOW) as cm:
        source, call = start(cm)
        step(source, call, 0, LOG)
        step(source, source.assemble(), 1, LISTING + " and more")
        copy = cm.thread("copy")
        copy.append(source.history())
        text = copy.assemble().to_text()
    assert LOG not in text
    assert LISTING + " and more" in text


def test_a_gist_says_only_what_the_call_does_not_show() -> None:
    message = contextkit.Message(
        "tool", (contextkit.ToolResultPart("c", "alpha_one beta_two gamma_three"),)
    )
    said = gists.gist(message, "m3", 10, 10, {"beta_two"}).text
    assert "alpha_one" in said
    assert "beta_two" not in said


@pytest.mark.parametrize("seed", range(20))
def test_names_stand_in_the_text_letter_by_letter(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(chr(rng.choice([*range(32, 127), 10, 0xE9, 0x4E2D])) for _ in range(2000))
    found = gists.names(text)
    assert all(name in text for name in found)
    assert all(gists.SHORTEST <= len(name) <= gists.LONGEST for name in found)
    assert all(line in text and len(line) <= gists.VERDICT_CHARS for line in gists.verdicts(text))
    assert len(gists.fill(found, 100)) <= 100


def test_names_of_arguments_are_read_through_their_escapes() -> None:
    call = contextkit.ToolCallPart("c", "edit", '{"old": "one\\nself.counter = 2"}')
    said = {
        name for part in gists.names_said(contextkit.Message("assistant", (call,))) for name in part
    }
    assert "self.counter" in said


# -- left_out_note ---------------------------------------------------------------------------------

WINDOW = {"kind": "sliding_window", "sinks": 0, "low_water": 0.3, "high_water": 0.9}


def crowded(cm: contextkit.ContextManager, n_steps: int = 30) -> list[Call]:
    thread, call = start(cm)
    calls = [call]
    for n in range(n_steps):
        step(thread, calls[-1], n, f"ERROR: step_{n:02d} failed\n" + f"filler_{n:02d} " * 60,
             arguments=f'{{"path": "/srv/step_{n:02d}.py"}}')  # fmt: skip
        calls.append(thread.assemble())
    return calls


def test_the_note_names_what_left_and_its_handles() -> None:
    with manager(WINDOW, "left_out_note", window=3000) as cm:
        calls = crowded(cm)
    text = calls[-1].to_text()
    gone = [d for d in calls[-1].ledger.decisions if d.action == "drop"]
    assert gone
    for decision in gone:
        assert decision.piece in text
    last_gone = (gone[-1].stop - 1 - 2) // 2
    for n in range(last_gone - 3, last_gone + 1):
        assert f"srv/step_{n:02d}.py" in text
    assert f"ERROR: step_{last_gone:02d} failed" in text


def test_the_note_changes_only_when_more_has_left_and_is_one() -> None:
    with manager(WINDOW, "left_out_note", window=3000) as cm:
        calls = crowded(cm)
    notes = [[d.piece for d in c.ledger.decisions if d.policy == "left_out_note"] for c in calls]
    assert all(len(note) <= 1 for note in notes)
    assert len({tuple(note) for note in notes}) == 1 + sum(c.ledger.prefix.moved for c in calls)


def test_the_note_leaves_where_it_would_not_fit() -> None:
    with manager(WINDOW, "left_out_note", window=3000) as cm:
        crowded(cm)
        thread = cm.thread("t")
        thread.record(thread.assemble(), {"role": "assistant", "content": "Done."})
        call = thread.assemble("word " * 2870)
    assert not [d for d in call.ledger.decisions if d.policy == "left_out_note"]


def test_the_note_reads_no_further_than_a_few_windows() -> None:
    with manager(WINDOW, "left_out_note", window=1000) as cm:
        thread = cm.thread("t")
        messages = [f"old_secret_{n}" for n in range(3)] + ["word " * 100] * 300
        for text in messages:
            thread.append(
                [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]
            )
        text = thread.assemble("And now?").to_text()
    assert "old_secret_0" in text  # the task
    assert "old_secret_1" not in text
    assert "m1-" in text


# -- cacheable_prefix ------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap_s", "ttl"), [(10, "5m"), (1200, "1h"), (7200, "5m")])
def test_an_hour_is_asked_for_where_the_pauses_make_it_cheaper(gap_s: float, ttl: str) -> None:
    with manager("cacheable_prefix", provider="anthropic", model="claude-sonnet-4-5") as cm:
        now = 0.0
        cm.clock = lambda: now
        thread = cm.thread("t")
        for n in range(8):
            thread.respond(f"Question {n}")
            now += gap_s
        points = thread.assemble("Last one").cache_points
    assert {point.ttl for point in points} == {ttl}


def test_a_point_stands_where_a_later_step_will_begin() -> None:
    with manager(WINDOW, "cacheable_prefix", provider="anthropic", model="claude-sonnet-4-5") as cm:
        calls = crowded(cm, 3)
    assert any(point.after == 1 for point in calls[-1].cache_points)  # behind the task


class _Forgets(Policy):
    """Leaves the messages before `turn.n_calls` out, every second one for another reason."""

    kind: ClassVar[str] = "forgets"
    stage: ClassVar[Stage] = Stage.SHRINK

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        for seq in range(1, min(turn.n_calls, 5)):
            if any(draft.free(seq, seq + 1)):
                policy = self.kind if seq % 2 else "another"
                draft = draft.drop(seq, seq + 1, policy=policy, why=f"old {seq % 2}")
        return draft


def test_a_note_tells_neighbours_that_left_for_other_reasons_as_one_range() -> None:
    with manager(_Forgets(), {"kind": "left_out_note", "share": 0.3}) as cm:
        thread, call = start(cm)
        for n in range(8):
            step(thread, call, n, LOG)
            call = thread.assemble()
        notes = [d for d in call.ledger.decisions if d.policy == "left_out_note"]
        text = call.to_text()
    assert len({d.policy for d in call.ledger.decisions if d.action == "drop"}) == 2
    assert [d.why for d in notes] == ["what was seen in m1-4, which left"]
    assert "make room: m1-4." in text
