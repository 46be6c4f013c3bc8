"""Tool results: what is shortened on arrival, images among it, and what is cleared in one step."""

from __future__ import annotations

import contextkit
from contextkit.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from contextkit_policies import _elide

LINES = "\n".join(["the same line"] * 9)


def pictured(call_id: str, picture: str, text: str = "A screenshot was taken. " * 9) -> Message:
    image = ImagePart(data=picture, media_type="image/png")
    return Message("tool", (ToolResultPart(call_id, (TextPart(text), image)),))


def shown(*results: Message) -> list[Message]:
    policies = [{"kind": "tool_results"}]
    with contextkit.load({"budget": {"window": 16_000}, "policies": policies}) as cm:
        thread = cm.thread("t")
        thread.append([{"role": "user", "content": "Look around."}])
        for result in results:
            call_id = result.tool_results[0].call_id
            thread.append(Message("assistant", (ToolCallPart(call_id, "look", "{}"),)))
            thread.append(result)
        return [m for m in thread.assemble("What is it?").messages if m.role == "tool"]


def test_an_image_stays_beside_its_text() -> None:
    result = pictured("a", "AAAA")
    assert shown(result) == [result]


def test_an_image_stays_beside_lines_that_repeat() -> None:
    result = pictured("a", "AAAA", LINES)
    assert shown(result) == [result]


def test_lines_in_text_blocks_are_said_once() -> None:
    result = Message("tool", (ToolResultPart("a", (TextPart(LINES),)),))
    (short,) = shown(result)
    assert "9 times" in short.text


def test_another_image_is_not_the_same_result() -> None:
    first, second = pictured("a", "AAAA"), pictured("b", "BBBB")
    assert shown(first, second) == [first, second]


def test_the_same_image_is_pointed_to() -> None:
    _, pointer = shown(pictured("a", "AAAA"), pictured("b", "AAAA"))
    assert pointer.text.startswith("[Same result as before")


def cleared(*texts: str) -> list[contextkit.Decision]:
    """The decisions of a call in which all results but the newest may be cleared at once."""
    policy = {"kind": "tool_results", "keep_recent": 1, "high_water": 0.0, "min_gain": 0.0}
    with contextkit.load({"budget": {"window": 16_000}, "policies": [policy]}) as cm:
        thread = cm.thread("t")
        thread.append({"role": "user", "content": "Look around."})
        for n, text in enumerate(texts):
            thread.append(Message("assistant", (ToolCallPart(f"c{n}", "look", "{}"),)))
            thread.append(Message("tool", (ToolResultPart(f"c{n}", text),)))
        return list(thread.assemble().ledger.decisions)


def test_one_step_says_of_each_result_whether_it_was_cleared_or_offloaded() -> None:
    small, large = "alpha beta gamma " * 20, "delta epsilon zeta " * 400
    decisions = {d.piece: d for d in cleared(small, large, small + "!", large + "!", "ok")}
    assert [p for p, d in decisions.items() if d.action == "replace"] == ["m2", "m4", "m6", "m8"]
    assert [decisions[p].why.split(":")[0] for p in ("m2", "m4", "m6", "m8")] == [
        "cleared",
        "offloaded",
        "cleared",
        "offloaded",
    ]


def test_what_was_collapsed_on_arrival_is_not_cleared_into_something_longer() -> None:
    """Thirty equal lines collapse to less than the stub that would stand for them."""
    by_piece = {d.piece: d for d in cleared("\n".join(["ab"] * 30), "ok")}
    assert "equal lines" in by_piece["m2"].why
    assert by_piece["m2"].tokens_after < by_piece["m2"].tokens_before


def test_a_result_points_to_the_first_of_several_equal_ones() -> None:
    text = "the same answer, word for word; " * 9
    decisions = [d for d in cleared(text, "no", text, text, "ok", "fine") if "equal to" in d.why]
    assert {d.why for d in decisions} <= {"equal to m2, which is in the call"}


def test_the_form_of_an_edit_that_waits_is_made_once() -> None:
    result = Message("tool", (ToolResultPart("a", "word " * 900),))
    for room in (None, 96):
        first = _elide.short_form(result, "m2", 900, room)
        assert _elide.short_form(result, "m2", 900, room) is first
    assert _elide.short_form(result, "m3", 900, None).text != first.text
    assert "m3" in _elide.short_form(result, "m3", 900, 96).text


def test_forms_are_forgotten_oldest_first() -> None:
    forms = _elide.Forms(most=2)
    results = [Message("tool", (ToolResultPart("a", f"{n} " * 99),)) for n in range(3)]
    made = [forms(result, "m2", 99, None) for result in results]
    assert forms(results[2], "m2", 99, None) is made[2]
    assert forms(results[0], "m2", 99, None) is not made[0]
