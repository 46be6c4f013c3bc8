"""Every form of log gives the same recording; what is wrong with a log is named, the rest is used."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contextkit import replay
from contextkit.errors import ReplayError
from contextkit.messages import Message
from contextkit.replay.log import chain
from contextkit.tokens.tiktoken_counter import TiktokenCounter
from contextkit.usage import Usage

from .making import conversation, recording

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "gate"}'}}
OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "Help."},
    {"role": "user", "content": "Which gate?"},
    {"role": "assistant", "content": "Looking.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "gate B42"},
    {"role": "assistant", "content": "B42."},
]
ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "Which gate?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "c1", "name": "find", "input": {"q": "gate"}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "gate B42"}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "B42."}]},
]
LANGCHAIN: list[dict[str, Any]] = [
    {"type": "system", "content": "Help."},
    {"type": "human", "content": "Which gate?"},
    {
        "type": "ai",
        "content": "Looking.",
        "tool_calls": [{"name": "find", "args": {"q": "gate"}, "id": "c1", "type": "tool_call"}],
        "usage_metadata": {
            "input_tokens": 50,
            "output_tokens": 7,
            "input_token_details": {"cache_read": 40, "cache_creation": 5},
        },
        "response_metadata": {"model_name": "gpt-x"},
    },
    {"type": "tool", "content": "gate B42", "tool_call_id": "c1"},
    {"type": "ai", "content": "B42."},
]
_CLASSES = {
    "system": "SystemMessage",
    "human": "HumanMessage",
    "ai": "AIMessage",
    "tool": "ToolMessage",
}


def _dumped(message: dict[str, Any]) -> dict[str, Any]:
    path = ["langchain", "schema", "messages", _CLASSES[message["type"]]]
    return {"lc": 1, "type": "constructor", "id": path, "kwargs": message}


TAU2 = {
    "info": {"environment_info": {"policy": "Help."}},
    "simulations": [
        {
            "id": "s",
            "agent_cost": 0.25,
            "messages": [
                {"role": "user", "content": "Which gate?", "timestamp": "2026-01-01T00:00:00",
                 "usage": {"prompt_tokens": 9, "completion_tokens": 9}},
                {"role": "assistant", "content": "Looking.", "timestamp": "2026-01-01T00:00:04",
                 "usage": {"prompt_tokens": 50, "completion_tokens": 7},
                 "tool_calls": [{"id": "c1", "name": "find", "arguments": {"q": "gate"},
                                 "requestor": "assistant"}]},
                {"role": "tool", "id": "c1", "content": "gate B42", "requestor": "assistant",
                 "timestamp": "2026-01-01T00:00:05"},
                {"role": "tool", "id": "u1", "content": "the user's own", "requestor": "user"},
                {"role": "assistant", "content": "B42.", "timestamp": "2026-01-01T00:00:09"},
            ],
        }
    ],
}  # fmt: skip
SWE_AGENT = {
    "environment": "django__1",
    "trajectory": [],
    "info": {"model_stats": {"instance_cost": 0.5, "api_calls": 2}},
    "history": [
        {"role": "system", "content": "Help.", "agent": "main", "message_type": "system_prompt"},
        {"role": "user", "content": [{"type": "text", "text": "Which gate?"}], "agent": "main"},
        {"role": "assistant", "content": "Looking.", "tool_calls": [CALL], "thought": "hm"},
        {
            "role": "tool",
            "content": [{"type": "text", "text": "gate B42"}],
            "tool_call_ids": ["c1"],
        },
        {"role": "assistant", "content": "B42."},
    ],
}
FORMS: dict[str, Any] = {
    "openai": {"id": "x", "messages": OPENAI},
    "openai list": OPENAI,
    "anthropic": {"id": "x", "system": "Help.", "messages": ANTHROPIC},
    "langchain": {"messages": LANGCHAIN},
    "langchain data": {"messages": [{"type": m["type"], "data": m} for m in LANGCHAIN]},
    "langchain lc": {"messages": [_dumped(m) for m in LANGCHAIN]},
    "tau": {"task_id": 3, "reward": 1.0, "traj": OPENAI},
    "tau2": TAU2,
    "swe_agent": SWE_AGENT,
}


def _said(message: Message) -> tuple[str, str, list[tuple[str, Any]]]:
    role = "tool" if message.tool_results else message.role
    calls = [(call.name, json.loads(call.arguments)) for call in message.tool_calls]
    return role, message.text, calls


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    found = recording(FORMS[form])
    assert [_said(m) for m in found.messages] == [
        ("system", "Help.", []),
        ("user", "Which gate?", []),
        ("assistant", "Looking.", [("find", {"q": "gate"})]),
        ("tool", "gate B42", []),
        ("assistant", "B42.", []),
    ]
    assert [call.n_before for call in found.calls] == [2, 4]
    assert not found.notes
    assert [m.role for m in found.system] == ["system"]


def test_bookkeeping_is_read_and_not_sent() -> None:
    tau2 = recording(TAU2)
    first = tau2.calls[0].at
    assert first is not None
    assert [call.at for call in tau2.calls] == pytest.approx([first, first + 5])
    assert [call.usage for call in tau2.calls] == [Usage(50, 7), None], (
        "the user's is not the agent's"
    )
    assert tau2.cost == 0.25
    assert recording(SWE_AGENT).cost == 0.5
    assert all(not message.extra for message in tau2.messages)
    chain = recording({"messages": LANGCHAIN})
    assert chain.calls[0].usage == Usage(50, 7, 40, 5)
    assert chain.model == "gpt-x"


def test_the_source_is_named() -> None:
    named = {form: recording(value).source for form, value in FORMS.items()}
    assert named["anthropic"] == "anthropic"
    assert named["langchain lc"] == "langchain"
    assert named["swe_agent"] == "swe_agent"
    assert named["tau2"] == "tau"
    assert named["openai"] == "openai"


def _exchanges(wires: list[dict[str, Any]], dialect: str) -> list[dict[str, Any]]:
    """A request log of a conversation, with cache points that a request only carries once."""
    out: list[dict[str, Any]] = []
    for index, wire in enumerate(wires):
        if wire["role"] != "assistant":
            continue
        request: dict[str, Any] = {"model": "m", "messages": wires[:index]}
        if dialect == "anthropic":
            marked = [dict(w) for w in wires[:index]]
            text = marked[0]["content"]
            marked[0]["content"] = [
                {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
            ]
            request |= {"system": "Help.", "messages": marked if index < 2 else wires[:index]}
            usage = {"input_tokens": 3, "cache_read_input_tokens": index, "output_tokens": 2}
            response = {
                "type": "message",
                "role": "assistant",
                "content": wire["content"],
                "usage": usage,
            }
        else:
            usage = {"prompt_tokens": 10 * index, "completion_tokens": 2}
            response = {"choices": [{"message": wire}], "usage": usage}
        out.append({"request": request, "response": response, "timestamp": 1000.0 + index})
    return out


@pytest.mark.parametrize(("dialect", "wires"), [("openai", OPENAI), ("anthropic", ANTHROPIC)])
def test_request_logs_become_conversations(
    dialect: str, wires: list[dict[str, Any]], tmp_path: Path
) -> None:
    other = [dict(w) for w in wires]
    other[-2 if dialect == "anthropic" else 1] = {"role": "user", "content": "Another one"}
    lines = [
        *_exchanges(wires, dialect),
        _exchanges(other[:2] if dialect == "anthropic" else other, dialect)[0],
    ]
    if dialect == "anthropic":
        lines[-1]["request"]["messages"] = [{"role": "user", "content": "Another one"}]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    found = replay.read(path).recordings
    assert [len(r.calls) for r in found] == [2, 1]
    assert found[0].source == dialect
    assert [m.text for m in found[0].messages][-1] == "B42."
    assert [call.usage is not None for call in found[0].calls] == [True, True]
    assert found[0].calls[1].at is not None


def test_one_message_a_line(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps(wire) for wire in OPENAI), encoding="utf-8")
    (found,) = replay.read(path).recordings
    assert (found.id, len(found.messages)) == ("talk", 5)


def test_a_cut_file_is_used_up_to_the_cut(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "messages": conversation(n)} for n in range(6)]
    text = "\n".join(json.dumps(row) for row in rows)
    plain = tmp_path / "runs.jsonl"
    plain.write_text(text[: len(text) * 3 // 4], encoding="utf-8")
    reading = replay.read(plain)
    assert 3 <= len(reading.recordings) <= 4
    assert "is cut" in reading.notes[0]
    assert "line" in reading.notes[0]
    packed = gzip.compress(text.encode(), mtime=0)
    zipped = tmp_path / "runs.jsonl.gz"
    zipped.write_bytes(packed[: len(packed) // 2])
    reading = replay.read(zipped)
    assert 0 < len(reading.recordings) < 6
    assert any("gzip file is cut" in note for note in reading.notes)


def test_a_faulty_line_is_named_and_left_out(tmp_path: Path) -> None:
    rows = [json.dumps({"id": f"r{n}", "messages": OPENAI}) for n in range(3)]
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join([rows[0], '{"id": nope}', rows[1], "", rows[2]]), encoding="utf-8")
    reading = replay.read(path)
    assert [r.id for r in reading.recordings] == ["r0", "r1", "r2"]
    assert "line 2" in reading.notes[0]


def test_a_conversation_is_used_up_to_its_first_fault() -> None:
    wires = [*OPENAI, {"role": "tool", "tool_call_id": "ghost", "content": "?"}, *OPENAI[1:]]
    found = recording({"id": "broken", "messages": wires})
    assert len(found.messages) == 5
    assert "broken: messages.5" in found.notes[0]
    assert "ghost" in found.notes[0]
    found = recording({"id": "broken", "messages": [*OPENAI, {"role": "wizard", "content": "?"}]})
    assert len(found.messages) == 5
    assert "wizard" in found.notes[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no JSON"),
        ("{", "cut"),
        ("[1, 2]", "needs a conversation"),
        ('{"messages": []}', "nothing to replay"),
        ('{"messages": [{"role": "user", "content": "hello"}]}', "no model was asked"),
        ('{"messages": {"role": "user"}}', "nothing to replay"),
        ("[" * 100_000, "nothing can be read"),
    ],
)
def test_what_holds_nothing_is_refused(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReplayError, match=r"runs\.jsonl") as caught:
        replay.read(path)
    assert says in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        replay.read(tmp_path / "none.jsonl")


def test_usage_that_contradicts_itself_is_named() -> None:
    wires = [dict(wire) for wire in OPENAI]
    wires[2]["usage"] = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 140}}
    wires[4]["usage"] = {"prompt_tokens": 900, "prompt_tokens_details": {"cached_tokens": 800}}
    found = recording({"id": "odd", "messages": wires})
    assert "odd: call 1" in found.notes[0]
    assert "140" in found.notes[0]
    assert "odd: call 2" in found.notes[1]
    assert "more than 100" in found.notes[1]
    wires[2]["usage"] = {"prompt_tokens": "many"}
    assert recording({"id": "odd", "messages": wires}).calls[0].usage is None


def test_questions_come_with_a_recording() -> None:
    asked = [{"question": "Which gate was it?", "evidence": [3, "B42"]}, {"text": "no evidence"}, 7]
    found = recording({"id": "x", "messages": OPENAI, "questions": asked})
    assert found.questions == (replay.Question("Which gate was it?", (3, "B42")),)


JUNK: tuple[Any, ...] = (
    None,
    7,
    "x",
    [],
    {},
    [None],
    {"role": 3},
    True,
    [[1]],
    {"content": {}},
    -1.5,
)


def _spoiled(value: Any, chance: Random) -> Any:
    """The value with one place in it turned into something else, left out, or said twice."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _spoiled(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        if chance.random() < 0.15:
            return [*value[:at], value[at], *value[at:]]
        return [*value[:at], _spoiled(value[at], chance), *value[at + 1 :]]
    return chance.choice(JUNK)


@pytest.mark.parametrize("form", [*FORMS, "requests"])
def test_spoiled_logs_are_read_or_refused(form: str, tmp_path: Path) -> None:
    """Whatever stands in a log, it is used as far as it goes or refused by name; never a crash."""
    chance = Random(form)
    value = _exchanges(OPENAI, "openai") if form == "requests" else FORMS[form]
    path = tmp_path / "runs.json"
    refused = 0
    for _ in range(60):
        spoiled = value
        for _ in range(chance.randint(1, 3)):
            spoiled = _spoiled(spoiled, chance)
        rows = spoiled if form == "requests" and isinstance(spoiled, list) else [spoiled]
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        try:
            found = replay.read(path).recordings
        except ReplayError:
            refused += 1
            continue
        for run in found:
            assert all(0 < call.n_before < len(run.messages) for call in run.calls)
            chain(TiktokenCounter("cl100k_base"), run.messages)
    assert refused < 60, "most faults leave something to use"
