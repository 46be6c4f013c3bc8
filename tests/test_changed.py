"""`Draft.changed` and `Piece.changed` copy by hand: nothing that was worked out may outlive its source."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import contextkit
from contextkit import contents, draft, piece


def cached(cls: type[Any]) -> set[str]:
    members = {name: value for base in cls.__mro__ for name, value in vars(base).items()}
    return {name for name, value in members.items() if isinstance(value, cached_property)}


def test_every_cached_value_is_known_to_the_copy() -> None:
    assert cached(draft.Draft) == {*contents._OF_PIECES, "tools_digest"}
    assert cached(piece.Piece) == {"handle"}


def test_a_copy_works_out_its_own_values() -> None:
    with contextkit.load({"budget": {"window": 2_000, "reply_reserve": 100}}) as manager:
        thread = manager.thread("t")
        thread.append([{"role": "user", "content": "word " * 50}, {"role": "user", "content": "b"}])
        before: draft.Draft = thread.assemble().plan.draft
        known = {name: getattr(before, name) for name in cached(draft.Draft)}
        assert before.pieces[0].handle
        after = before.changed(pieces=before.pieces[1:], tools=())
        assert after.input_tokens < before.input_tokens
        assert after.messages == before.messages[1:]
        assert after.runs != before.runs
        assert {name: getattr(before, name) for name in cached(draft.Draft)} == known
        moved = before.pieces[0].changed(start=7, stop=9)
        assert moved.handle == "m7-8"
