"""Grounding against a plain reading of its definition, over drawn conversations and drawn edits."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest

from contextkit import replay
from contextkit.messages import text_message
from contextkit.piece import Piece
from contextkit.replay.grounding import Judge, find_needs

from .making import conversation, recording

Wire = dict[str, Any]


def _plain_text(wire: Wire) -> str:
    parts = [wire.get("content") or ""]
    for call in wire.get("tool_calls") or ():
        body = call["function"]
        parts += [f"{body['name']} {body['arguments']}", *_values(json.loads(body["arguments"]))]
    return "\n".join(parts)


def _values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _values(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _values(inner)]
    return [str(value)]


def _words(value: str) -> set[str]:
    found = (word.strip("./-") for word in re.findall(r"[A-Za-z0-9_./\-]{5,}", value))
    return {word for word in found if len(word) >= 5}


def _expected(wires: list[Wire], at: int, shown: set[int], extra: list[str]) -> tuple[int, int]:
    """(tool calls, those whose names stand there), straight from the definition."""
    grounded = 0
    calls = wires[at].get("tool_calls") or ()
    for call in calls:
        words = {w for v in _values(json.loads(call["function"]["arguments"])) for w in _words(v)}
        seen = {w for w in words if any(w in _plain_text(wires[i]) for i in range(at))}
        context = [_plain_text(wires[i]) for i in sorted(shown)] + extra
        grounded += all(any(word in text for text in context) for word in seen)
    return len(calls), grounded


@pytest.mark.parametrize("seed", range(6))
def test_against_the_definition(seed: int) -> None:
    chance = Random(seed)
    wires = conversation(seed, n_calls=9, size=8)
    run = recording({"id": "r", "messages": wires})
    judge = Judge(find_needs(run))
    for index, recorded in enumerate(run.calls):
        kept = sorted(chance.sample(range(recorded.n_before), chance.randint(1, recorded.n_before)))
        said = [
            f"[gone: {' '.join(_words(_plain_text(wires[chance.randrange(recorded.n_before)])))}]"
        ]
        pieces = [Piece(i, i + 1, (0, 0)) for i in kept]
        note = text_message("user", said[0])
        pieces.append(Piece(recorded.n_before, recorded.n_before, (0, 0), "insert", (note,)))
        found = judge.judge(index, pieces)
        assert (found.calls, found.in_context) == _expected(
            wires, recorded.n_before, set(kept), said
        )
        assert found.in_context <= found.reachable <= found.calls


def _run() -> replay.Recording:
    body = json.dumps({"path": "/repo/secret_7741.py"})
    call = {"id": "a", "type": "function", "function": {"name": "open", "arguments": body}}
    return recording(
        [
            {"role": "user", "content": "begin"},
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "it is in /repo/secret_7741.py"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    )


@pytest.mark.parametrize(
    ("note", "in_context", "reachable"),
    [
        ("see /repo/secret_7741.py.bak", 1, 1),
        ("[Result cleared: m2]", 0, 1),
        ("[left out: m1-2]", 0, 1),
        ("[left out: m0-1]", 0, 0),
        ("the m2x file, item.m2 and am2", 0, 0),
        ("nothing of it", 0, 0),
        ("m0-99999999999999", 0, 0),
    ],
)
def test_a_handle_counts_where_the_model_can_see_it(
    note: str, in_context: int, reachable: int
) -> None:
    judge = Judge(find_needs(_run()))
    shown = (text_message("user", note),)
    found = judge.judge(1, [Piece(0, 2, (0, 0)), Piece(2, 3, (0, 0), "replace", shown)])
    assert (found.calls, found.in_context, found.reachable) == (1, in_context, reachable)


def test_a_handle_in_the_log_is_only_text() -> None:
    wires = [{"role": "user", "content": "m1"}, {"role": "assistant", "content": "fine"}]
    run = recording([*wires, *[{"role": m.role, "content": m.text} for m in _run().messages[2:3]]])
    assert not run.calls[1:], "the log ends with a request"
    judge = Judge(find_needs(_run()))
    found = judge.judge(1, [Piece(0, 2, (0, 0)), Piece(2, 3, (0, 0), "drop", ())])
    assert (found.in_context, found.reachable) == (0, 0)


def test_what_is_no_json_is_searched_as_it_is() -> None:
    body = "open /repo/secret_7741.py"
    call = {"id": "a", "type": "function", "function": {"name": "open", "arguments": body}}
    run = recording(
        [
            {"role": "user", "content": "it is in /repo/secret_7741.py"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    )
    ((needs,),) = find_needs(run)
    assert [need.word for need in needs] == ["repo/secret_7741.py"]
