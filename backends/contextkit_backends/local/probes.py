"""The conversations a chat template is asked about, in OpenAI form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contextkit_backends.local.template import WireMessage

SYSTEM: WireMessage = {"role": "system", "content": "Answer briefly."}
ASK: WireMessage = {"role": "user", "content": "Which gate?"}
REPLY: WireMessage = {"role": "assistant", "content": "Gate B12."}


def _calls(ids: Sequence[str]) -> dict[str, Any]:
    calls = [
        {"id": i, "type": "function", "function": {"name": "look", "arguments": '{"at": "gate"}'}}
        for i in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "name": "look", "content": text}


def context_candidates(wire: Sequence[WireMessage]) -> list[list[WireMessage]]:
    """What may stand before `wire`, the most telling first."""
    role = wire[0]["role"]
    if role == "user":
        return [[ASK], [ASK, REPLY]]
    if role == "tool":
        answered = [m.get("tool_call_id") or "call00000" for m in wire if m["role"] == "tool"]
        return [[ASK, _calls(answered)], [ASK]]
    return [[ASK]]


def conversations() -> list[list[WireMessage]]:
    """The neighbourhoods that templates treat in ways of their own; a model speaks next in each."""
    first, second = "call00001", "call00002"
    thought = {**REPLY, "reasoning_content": "The board says B12, so B12."}
    thought_call = {**_calls([first]), "reasoning_content": "I have to look."}
    look = [_calls([first]), _result(first, "B12")]
    look_twice = [_calls([first, second]), _result(first, "B12"), _result(second, "On time.")]
    padded: WireMessage = {"role": "user", "content": "\n  When? \n"}
    return [
        [ASK],
        [SYSTEM, ASK],
        [SYSTEM, ASK, REPLY, ASK],
        [ASK, REPLY, padded],
        [padded, {"role": "assistant", "content": "\n At nine.\n"}, padded],
        [ASK, ASK],
        [ASK, REPLY, REPLY, ASK],
        [ASK, REPLY, SYSTEM, ASK],
        [SYSTEM, SYSTEM, ASK],
        [ASK, *look],
        [SYSTEM, ASK, *look, REPLY, ASK],
        [ASK, *look_twice],
        [ASK, *look_twice, REPLY, ASK],
        [ASK, *look, *look],
        [ASK, thought, ASK],
        [ASK, thought, ASK, thought, ASK],
        [ASK, thought_call, _result(first, "B12")],
        [ASK, thought_call, _result(first, "B12"), thought, ASK],
    ]
