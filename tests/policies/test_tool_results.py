"""Tool results with images: shortened only where that is asked for, never lost on arrival."""

from __future__ import annotations

import contextkit
from contextkit.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart

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
