"""What stays of a request goes out as it came, with fields that nobody knows yet, whatever else leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from contextkit.backend import Reply
from contextkit.messages import text_message
from contextkit.replies import responses_message
from contextkit.server.endpoints import MESSAGES_API, RESPONSES_API
from contextkit.server.splice import spliced
from contextkit.server.turns import Turns
from tests.server.running import manager_of
from tests.server.test_every_kind import (
    ALL,
    END,
    NEWEST,
    SAID,
    begun,
    block_messages,
    body_of,
    check_rules,
    in_blocks,
    named,
    spoken,
    unmarked,
)

ADDED = {"deep": [1.5, None, "", {"text": "é"}], "empty": []}


def of_tomorrow(value: Any) -> Any:
    """A message or an item with fields that no SDK has yet, in itself and in all that it holds."""
    if isinstance(value, list):
        return [of_tomorrow(each) for each in value]
    if not isinstance(value, dict) or not value.keys() & {"type", "role"}:
        return value
    return {key: of_tomorrow(each) for key, each in value.items()} | {"of_tomorrow": ADDED, "n": 0}


LONG = "gate alpha seven luggage " * 70
ACTING: dict[str, tuple[Any, ...]] = {
    "leave": ("tool_results", "sliding_window"),
    "are told of": ("sliding_window", "left_out_note"),
    "are marked": ("sliding_window", "cacheable_prefix"),
}


@pytest.mark.parametrize("cases", ALL)
@pytest.mark.parametrize("policies", ACTING.values(), ids=ACTING)
def test_fields_of_tomorrow_stay(cases: Any, policies: tuple[Any, ...]) -> None:
    """Whatever the policies do to others, what stays has all its fields, even those nobody knows."""
    claude = {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k"}
    more = {"backend": claude} if cases is block_messages else {}
    with manager_of(12_000, *policies, **more) as manager:
        turns = Turns(manager, 1 << 20)
        n_kept = 0
        for found in named(cases()).values():
            for endpoint, said in found[:: max(1, len(found) // 8)]:
                said = [of_tomorrow(each) for each in said]
                if endpoint is not MESSAGES_API:
                    said = [of_tomorrow({"role": "user", "content": "Look."}), *said, END]
                body = body_of(endpoint, [*SAID, *said, NEWEST])
                started = begun(turns, endpoint, body)
                items = json.loads(started.sent)[endpoint.array]
                if started.begun is not None and len(items) > len(said) + 4:
                    assert len(items) < len(body[endpoint.array])
                    assert in_blocks(items[-len(said) - 1 : -1]) == in_blocks(said)
                    check_rules(endpoint, items, body[endpoint.array])
                    n_kept += 1
        assert n_kept > 20


def test_fields_of_tomorrow_stay_in_instructions_and_tools() -> None:
    """Where they are written anew: marked for a provider's cache, and tools put in order."""
    claude = {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k"}
    tools = [
        of_tomorrow({"type": "custom", "name": name, "input_schema": {"type": "object"}})
        for name in ("look_up", "ask")
    ]
    system = [of_tomorrow({"type": "text", "text": LONG})]
    with manager_of(100_000, "cacheable_prefix", backend=claude) as manager:
        body = body_of(MESSAGES_API, [*SAID, NEWEST], system=system, tools=tools)
        sent = json.loads(begun(Turns(manager, 1 << 20), MESSAGES_API, body).sent)
    assert unmarked(sent["tools"]) == [tools[1], tools[0]]
    assert unmarked(sent["system"]) == system
    assert 1 <= json.dumps(sent).count('"cache_control"') <= 4


def test_items_stay_where_only_what_is_new_was_read() -> None:
    """The items of a reply are one message; where the next begins is remembered with them."""
    reply = [
        of_tomorrow({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}),
        of_tomorrow(spoken("msg_1", LONG, "commentary")),
        of_tomorrow(spoken("msg_2", LONG, "final_answer")),
    ]
    with manager_of(6_000) as manager:
        turns = Turns(manager, 1 << 20)
        history: list[Any] = [of_tomorrow(NEWEST)]
        answered = responses_message(reply)
        for number in range(12):
            started = begun(turns, RESPONSES_API, body_of(RESPONSES_API, history))
            items = json.loads(started.sent)["input"]
            said = iter(history)
            assert all(any(item == each for each in said) for item in items)
            assert items[-1] == history[-1]
            assert started.history is not None
            assert started.history.n_known == max(0, 2 * number - 1)
            turns.finish(started, lambda: Reply(answered))
            turns.remember(started)
            history += [*reply, of_tomorrow({"role": "user", "content": f"{number}? {LONG}"})]
        assert len(items) < len(history) - 4


def test_a_changed_result_stands_among_items_that_stay() -> None:
    """Of a result that was shortened all but its text is as it was written for its kind of call."""
    call = {"call_id": "call_1", "name": "look_up"}
    function = {"type": "function_call", **call, "arguments": "{}"}
    custom = {"type": "custom_tool_call", **call, "call_id": "call_2", "input": "x"}
    outputs = [
        {"type": "function_call_output", "call_id": "call_1", "output": LONG * 9},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": LONG * 9},
    ]
    said = [of_tomorrow(function), of_tomorrow(custom), *outputs]
    with manager_of(9_000, {"kind": "tool_results", "keep_recent": 0}) as manager:
        body = body_of(RESPONSES_API, [NEWEST, *said, *SAID[1:20], NEWEST])
        sent = json.loads(begun(Turns(manager, 1 << 20), RESPONSES_API, body).sent)
    items = sent["input"]
    assert sent == {**body, "input": items}
    assert items[:3] == [NEWEST, *said[:2]]
    assert [item["type"] for item in items[3:5]] == [each["type"] for each in outputs]
    assert all(len(item["output"]) < len(LONG) * 9 for item in items[3:5])
    assert items[5:] == body["input"][5:]


def test_nothing_goes_in_ahead_of_results() -> None:
    """Claude takes results only where they come first in what follows their call."""
    call = {"type": "tool_use", "id": "id_1", "name": "look_up", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "id_1", "content": "twelve"}
    said = [NEWEST, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    with manager_of() as manager:
        started = begun(Turns(manager, 1 << 20), MESSAGES_API, body_of(MESSAGES_API, said))
        assert started.begun is not None
        assert started.history is not None
        whole = started.begun.call
        note = [text_message("user", "A note.")]
        for at, fits in ((1, True), (2, False)):
            draft = whole.plan.draft.insert(at, note, section="memory", policy="notes", why="tests")
            changed = replace(whole, plan=replace(whole.plan, draft=draft))
            items = spliced(started.history, changed)
            assert (items is not None) == fits
            if items is not None:
                assert json.loads(b"[%b]" % items)[at]["content"] == "A note."
