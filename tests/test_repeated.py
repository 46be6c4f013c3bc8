"""A call that repeats the one before goes on from what was read of it, and finds what reading all finds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import contextkit
from contextkit.draft import Draft
from contextkit.messages import Message, TextPart, ToolCallPart, ToolResultPart, text_message
from contextkit.piece import Piece, edit_each, merge
from contextkit.validity import Pairing, problems

STACKS: dict[str, list[Any]] = {
    "window": [{"kind": "sliding_window", "low_water": 0.3}, "cacheable_prefix"],
    "agent": [
        {"kind": "tool_results", "high_water": 0.5, "min_gain": 0.1},
        {"kind": "read_once", "fill": 0.1},
        {"kind": "sliding_window", "sinks": 0, "low_water": 0.2},
        "left_out_note",
        "cacheable_prefix",
    ],
    "eager": [{"kind": "tool_results", "keep_recent": 1, "high_water": 0.0, "min_gain": 0.0}],
}
BACKEND = {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"}


def drafts(policies: Sequence[Any], sizes: Sequence[int]) -> Iterator[Draft]:
    """The drafts of a tool loop whose results have so many words."""
    config = {
        "backend": BACKEND,
        "budget": {"window": 4_000, "reply_reserve": 100},
        "policies": policies,
    }
    with contextkit.load(config) as manager:
        thread = manager.thread("t")
        thread.append([text_message("system", "Be exact."), text_message("user", "Go on.")])
        for n, size in enumerate(sizes):
            call = thread.assemble()
            yield call.plan.draft
            thread.record(call, Message("assistant", (ToolCallPart(f"c{n}", "f", "{}"),)))
            text = " ".join(f"file_{n}_{i}.py" for i in range(size)) or "ok"
            thread.append(Message("tool", (ToolResultPart(f"c{n}", text),)))


@pytest.mark.parametrize("name", STACKS)
def test_reading_on_finds_what_reading_all_finds(name: str) -> None:
    sizes = [3, 40, 120, 0, 60, 200, 5, 5, 90, 150, 1, 30, 80, 80, 3, 3]
    went_on = 0
    for draft in drafts(STACKS[name], sizes):
        alone = draft.changed(before=None, pieces=draft.pieces)
        assert alone.before is None
        assert draft.messages == alone.messages
        assert draft.faults == alone.faults == problems(draft.messages) == []
        digests = b"".join(message.digest for message in alone.messages)
        whole = hashlib.sha256(draft.tools_digest.encode() + digests).hexdigest()
        assert draft.reading.fingerprint == alone.reading.fingerprint == whole
        assert draft.reading.repeated.messages == alone.reading.repeated.messages
        if draft.before is not None and draft.shared(draft.before.runs).is_whole:
            assert draft.messages[: len(draft.before.messages)] == draft.before.messages
            went_on += 1
    assert went_on >= 3


def test_other_tools_are_read_anew() -> None:
    *_, draft = drafts(["cacheable_prefix"], [3, 3, 3])
    other = draft.with_tools((contextkit.Tool("f", parameters={"type": "object"}),))
    assert other.reading.fingerprint != draft.reading.fingerprint
    assert (
        other.reading.fingerprint
        == other.changed(before=None, pieces=other.pieces).reading.fingerprint
    )


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([text_message("user", "a"), text_message("assistant", "b")]),
        st.just(Message("user", (TextPart(""),))),
        st.sampled_from("xyz").map(lambda i: Message("assistant", (ToolCallPart(i, "f", "{}"),))),
        st.sampled_from("xyz").map(lambda i: Message("tool", (ToolResultPart(i, "r"),))),
        st.just(Message("user", (ToolCallPart("x", "f", "{}"),))),
    ),
    max_size=10,
)


@given(MESSAGES, st.integers(0, 10))
@settings(max_examples=300)
def test_reading_in_two_parts_is_reading_once(messages: list[Message], at: int) -> None:
    first = Pairing()
    first.read(messages[:at])
    before = first.problems()
    rest = first.copy()
    rest.read(messages[at:])
    assert rest.problems() == problems(messages)
    assert first.problems() == before == problems(messages[:at])


class Ones:
    """A log in which every entry measures one."""

    def span(self, start: int, stop: int) -> tuple[int, ...]:
        return (stop - start,)


def table(actions: str) -> tuple[Piece, ...]:
    """One entry each, kept or dropped or replaced, neighbours alike merged."""
    forms: dict[str, dict[str, Any]] = {
        "k": {"measure": (1,)},
        "d": {"measure": (0,), "action": "drop", "shown": ()},
        "r": {"measure": (2,), "action": "replace", "shown": (text_message("user", "r"),)},
    }
    return merge([Piece(i, i + 1, **forms[a]) for i, a in enumerate(actions)], Ones())


@given(st.text("kdr", min_size=1, max_size=12), st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=300)
def test_an_edit_leaves_no_neighbours_alike(actions: str, places: list[int]) -> None:
    ends = sorted({min(place, len(actions)) for place in places})
    spans = list(zip(ends[::2], ends[1::2], strict=False))

    def dropped(piece: Piece, low: int, high: int) -> Piece:
        return piece.changed(start=low, stop=high, measure=(0,), action="drop", shown=())

    before = table(actions)
    cuts = any(
        piece.shown and any(a < piece.stop and piece.start < b for a, b in spans)
        for piece in before
    )
    after = edit_each(before, [(*span, dropped) for span in spans], Ones())
    expected = "".join(
        "d" if any(a <= i < b for a, b in spans) else action for i, action in enumerate(actions)
    )
    assert cuts or after == table(expected)
    assert after == merge(after, Ones())
