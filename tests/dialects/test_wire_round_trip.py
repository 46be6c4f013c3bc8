"""Reading and writing back loses nothing, in any dialect, over real shapes and recorded runs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from contextkit.dialects import (
    anthropic,
    detect,
    dump_tools,
    openai,
    parse_message,
    parse_messages,
    parse_tools,
    responses,
    text,
)
from contextkit.messages import from_json
from contextkit.validity import problems, wire_problems
from tests.dialects.samples import ANTHROPIC, OPENAI, RESPONSES, TOOLS, recorded, renamed

MODULES: dict[str, Any] = {"openai": openai, "anthropic": anthropic, "responses": responses}
CASES = [
    (name, value)
    for name, table in (("openai", OPENAI), ("anthropic", ANTHROPIC), ("responses", RESPONSES))
    for value in table
]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_dump_gives_back_what_parse_read(name: str, value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    message = MODULES[name].parse(value)
    assert MODULES[name].dump(message) == before == value
    stored = from_json(json.loads(message.canonical))
    assert MODULES[name].dump(stored) == value
    assert stored.digest == message.digest


@pytest.mark.parametrize(("name", "value"), CASES)
def test_the_dialect_is_found(name: str, value: dict[str, Any]) -> None:
    found = parse_message(value)
    assert found == MODULES[name].parse(value) or detect(value) == "openai"
    assert MODULES[name].dump(found) == value


def test_recorded_runs_come_back_whole_and_can_be_sent() -> None:
    for messages in recorded():
        parsed = parse_messages(messages)
        assert [openai.dump(m) for m in parsed] == messages
        unique = renamed(parsed)
        assert problems(unique) == []
        for name, module in MODULES.items():
            assert wire_problems(module.request(unique), name) == []
        assert text.render(parsed).count("[tool result") == sum(
            m["role"] == "tool" for m in messages
        )


@pytest.mark.parametrize("name", TOOLS)
def test_tools_come_back_whole(name: str) -> None:
    tools = parse_tools(TOOLS[name])
    assert dump_tools(tools, name) == TOOLS[name]  # type: ignore[arg-type]
    user = parse_messages("hi")
    for other, module in MODULES.items():
        sent = module.request(user, tools)
        assert wire_problems(sent, other) == []
        functions = {t.name for t in tools if not t.dialect}
        names = {t.get("name") or t.get("function", {}).get("name") for t in sent["tools"]}
        assert functions <= names
    assert len(MODULES[name].request(user, tools)["tools"]) == len(TOOLS[name])


def test_nothing_is_shared_with_the_caller() -> None:
    value = {"role": "user", "content": "hi", "usage": {"tokens": [3]}}
    message = parse_message(value)
    digest = parse_message(value).digest
    value["usage"]["tokens"].append(4)  # type: ignore[index]
    assert message.digest == digest


def test_one_or_many() -> None:
    assert parse_messages("hi") == parse_messages({"role": "user", "content": "hi"})
    assert parse_messages(parse_messages("hi")) == parse_messages(
        [{"role": "user", "content": "hi"}]
    )
    assert parse_messages(m for m in ["hi"] if not m) == []
