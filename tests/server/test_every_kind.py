"""Every kind of message, block, item and tool that the SDKs' own types allow, through the proxy.

The kinds are read from the types (`sdk_samples`): what a newer SDK adds is tested without anybody's doing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import ToolUnionParam
from anthropic.types.beta import BetaContentBlockParam, BetaToolUnionParam
from anthropic.types.content_block_param import ContentBlockParam
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from openai.types.responses import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam

from contextkit.server.endpoints import CHAT_API, MESSAGES_API, RESPONSES_API, Endpoint
from contextkit.server.turns import Started, Turns
from contextkit.wire_rules import anthropic as anthropic_rules
from contextkit.wire_rules import openai as openai_rules
from contextkit.wire_rules import responses as responses_rules
from tests.server.running import manager_of
from tests.server.sdk_samples import samples

NEWEST = {"role": "user", "content": "Which gate is the newest?"}
END = {"role": "assistant", "content": "Gate twelve."}
SAID = [
    {"role": role, "content": f"{role} {number} " + "gate alpha seven luggage " * 70}
    for number in range(24)
    for role in ("user", "assistant")
]
"""A history of some 14,000 tokens, to stand before what is tested."""
USERS = ("text", "image", "document", "search_result", "container_upload")
RULES = {
    CHAT_API.path: openai_rules.problems,
    MESSAGES_API.path: anthropic_rules.problems,
    RESPONSES_API.path: responses_rules.problems,
}
Case = tuple[Endpoint, list[Any]]


def item_pairs() -> Iterator[Case]:
    """Every item of the Responses API, a call with its output."""
    kinds: dict[Any, list[Any]] = {}
    for value in samples(ResponseInputItemParam):
        kinds.setdefault(value.get("type"), []).append(value)
    for kind, values in kinds.items():
        answer = next((name for name in _outputs(kind) if name in kinds), None)
        asked = next((name for name in kinds if kind in _outputs(name)), None)
        for value in values:
            if answer:
                yield RESPONSES_API, [value, _paired(kinds[answer][0], value, kind)]
            elif asked:
                yield RESPONSES_API, [_paired(kinds[asked][0], value, asked), value]
            else:
                yield RESPONSES_API, [value]


def _outputs(call: Any) -> tuple[str, str]:
    """What the output of such a call may be named."""
    return f"{call}_output", f"{str(call).removesuffix('_call')}_output"


def _paired(value: dict[str, Any], other: dict[str, Any], call: Any) -> dict[str, Any]:
    """The other half of a pair: it names the same call, in the fields where both have it."""
    if call == "local_shell_call":  # its output names the call in another field
        call_id = other.get("call_id", other["id"])
        return value | {"id": call_id, "call_id": call_id}
    if call == "tool_search_call":
        value = {k: v for k, v in value.items() if k not in _NAMING}
    return value | {name: other[name] for name in _NAMING if other.get(name) is not None}


_NAMING = ("call_id", "execution")


def block_messages() -> Iterator[Case]:
    """Every block of the Messages API, stable and beta, in a message of the one who says it."""
    for kind in (ContentBlockParam, BetaContentBlockParam):
        for block in samples(kind):
            named_so = json.loads(json.dumps(block).replace("file-1", "file_1"))
            yield MESSAGES_API, list(_around(named_so))


def _around(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    call = {"type": "tool_use", "id": "id_1", "name": "look_up", "input": {}}
    if block["type"] in USERS:
        yield from ({"role": "user", "content": [block]}, END)
    elif block["type"] in ("tool_use", "tool_result"):
        result = {"type": "tool_result", "tool_use_id": "id_1", "content": "twelve"}
        asked, answered = (block, result) if block["type"] == "tool_use" else (call, block)
        yield {"role": "user", "content": "Look it up."}
        yield {"role": "assistant", "content": [asked]}
        yield from ({"role": "user", "content": [answered]}, END)
    else:
        yield {"role": "user", "content": "Search for it."}
        yield {"role": "assistant", "content": [block, {"type": "text", "text": "Twelve."}]}


def chat_messages() -> Iterator[Case]:
    """Every message of Chat Completions, a call with its result."""
    call = {"type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    for value in samples(ChatCompletionMessageParam):
        if value["role"] == "tool":
            asked = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", **call}]}
            yield CHAT_API, [asked, value, END]
            continue
        calls = value.get("tool_calls") or ()
        results = [{"role": "tool", "tool_call_id": c["id"], "content": "twelve"} for c in calls]
        yield CHAT_API, [value, *results, END]


def offered_tools() -> Iterator[tuple[Endpoint, Any]]:
    for kind in (ToolUnionParam, BetaToolUnionParam):
        yield from ((MESSAGES_API, tool) for tool in samples(kind))
    yield from ((RESPONSES_API, tool) for tool in samples(ToolParam))
    yield from ((CHAT_API, tool) for tool in samples(ChatCompletionToolUnionParam))


def body_of(endpoint: Endpoint, said: list[Any], **more: Any) -> dict[str, Any]:
    limit = {"max_tokens": 99} if endpoint is MESSAGES_API else {}
    return {"model": "m", **limit, endpoint.array: said, **more}


def begun(turns: Turns, endpoint: Endpoint, body: dict[str, Any]) -> Started:
    return turns.begin(endpoint, "somebody", None, json.dumps(body).encode())


def named(values: Iterator[Case]) -> dict[str, list[Case]]:
    """Each case once, by the kinds in it."""
    found: dict[str, dict[str, Case]] = {}
    for endpoint, said in values:
        kind = ", ".join(dict.fromkeys(_kind(each) for each in said))
        found.setdefault(kind, {})[json.dumps(said)] = endpoint, said
    return {kind: list(cases.values()) for kind, cases in found.items()}


def _kind(value: dict[str, Any]) -> str:
    content = value.get("content")
    inner = [str(b.get("type")) for b in content] if isinstance(content, list) else []
    return "/".join([str(value.get("type") or value.get("role") or "reference"), *inner])


ALL = (item_pairs, block_messages, chat_messages)


@pytest.mark.parametrize("cases", ALL)
def test_what_fits_goes_on_as_it_came(cases: Any) -> None:
    with manager_of() as manager:
        turns = Turns(manager, 1 << 20)
        for endpoint, said in cases():
            body = body_of(endpoint, [NEWEST, *said, NEWEST])
            assert begun(turns, endpoint, body).sent == json.dumps(body).encode(), said


def test_tools_go_on_as_they_came() -> None:
    with manager_of() as manager:
        turns = Turns(manager, 1 << 20)
        for endpoint, tool in offered_tools():
            body = body_of(endpoint, [NEWEST], tools=[tool])
            assert begun(turns, endpoint, body).sent == json.dumps(body).encode(), tool


@pytest.mark.parametrize("cases", ALL)
@pytest.mark.parametrize("is_old", [True, False])
def test_what_stays_where_something_leaves(cases: Any, is_old: bool) -> None:
    """Old, it may leave; new, it is there as it was. Nothing is sent that was not fine before."""
    with manager_of(12_000) as manager:
        turns = Turns(manager, 1 << 20)
        n_kept = 0
        for found in named(cases()).values():
            for endpoint, said in found[:: max(1, len(found) // 30)]:
                if endpoint is not MESSAGES_API:
                    said = [{"role": "user", "content": "Look."}, *said, END]
                history = [*SAID[:4], *said, *SAID[4:]] if is_old else [*SAID, *said]
                body = body_of(endpoint, [*history, NEWEST])
                items = check_acting(turns, endpoint, body)
                if not is_old and len(items) > len(said) + 4:
                    assert items[-len(said) - 1 : -1] == said
                    n_kept += 1
        assert is_old or n_kept > 20


def test_cache_points_change_nothing_else() -> None:
    """Where Claude's requests are written anew, for the marks on their blocks."""
    claude = {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k"}
    policy = {"kind": "cacheable_prefix"}
    with manager_of(100_000, policy, backend=claude) as manager:
        turns = Turns(manager, 1 << 20)
        for found in named(block_messages()).values():
            for endpoint, said in found[:: max(1, len(found) // 30)]:
                body = body_of(endpoint, [*SAID, *said, NEWEST])
                raw = begun(turns, endpoint, body).sent
                assert b'"cache_control":{"type":"ephemeral"}}]}]' in raw
                items, before = json.loads(raw)["messages"], body["messages"]
                assert _blocks(items) == _blocks(before)
                found_in = anthropic_rules.problems
                assert _unlike(found_in({"messages": items})) <= _unlike(
                    found_in({"messages": before})
                )


def _blocks(messages: list[Any]) -> list[Any]:
    """All blocks of a history, without marks."""
    said = [m["content"] for m in messages]
    listed = [[{"type": "text", "text": c}] if isinstance(c, str) else c for c in said]
    return [unmarked(block) for blocks in listed for block in blocks]


def in_blocks(items: list[Any]) -> list[Any]:
    """Messages with their text as a block, as it is where it carries a mark; without marks."""
    return [unmarked(i | {"content": _blocks([i])}) if i.get("content") else i for i in items]


def unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [unmarked(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {k: unmarked(v) for k, v in value.items() if k != "cache_control"}


def test_messages_of_one_reply_stay_apart() -> None:
    """Each with its own phase and id, whatever the model did between them."""
    said = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        spoken("msg_1", "I look it up.", "commentary"),
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": None},
        spoken("msg_2", "Gate twelve.", "final_answer"),
        spoken("msg_3", "Have a good flight.", "final_answer"),
    ]
    with manager_of(12_000) as manager:
        turns = Turns(manager, 1 << 20)
        body = body_of(RESPONSES_API, [*SAID, NEWEST, *said, NEWEST])
        items = json.loads(begun(turns, RESPONSES_API, body).sent)["input"]
        assert len(items) < len(body["input"])
        assert items[-len(said) - 1 : -1] == said


def spoken(name: str, text: str, phase: str) -> dict[str, Any]:
    block = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": name,
        "role": "assistant",
        "status": "completed",
        "content": [block],
        "phase": phase,
    }


def check_acting(turns: Turns, endpoint: Endpoint, body: dict[str, Any]) -> list[Any]:
    """What is sent of the history, valid and without any other change."""
    started = begun(turns, endpoint, body)
    sent = json.loads(started.sent)
    items, before = sent[endpoint.array], body[endpoint.array]
    if started.begun is None:
        assert sent == body
        return list(items)
    assert sent | {endpoint.array: before} == body
    assert len(items) < len(before)
    assert items[-1] == NEWEST
    check_rules(endpoint, items, before)
    return list(items)


def check_rules(endpoint: Endpoint, items: list[Any], before: list[Any]) -> None:
    """Nothing is wrong with the items that was not with those they come from."""
    problems = RULES[endpoint.path]
    found = _unlike(problems({endpoint.array: items}))
    assert found <= _unlike(problems({endpoint.array: before})) | FINE, before


FINE = {"two of one role stand together"}
"""What this provider takes: it reads them as one."""


def _unlike(problems: list[str]) -> set[str]:
    """What is wrong, wherever it is."""
    return {re.sub(r"^\S+ ", "", problem) for problem in problems}


@pytest.mark.parametrize("endpoint", [CHAT_API, MESSAGES_API, RESPONSES_API])
def test_messages_that_say_nothing_are_no_reason_to_refuse(endpoint: Endpoint) -> None:
    """Chat windows send them, and providers take them."""
    empty = {"role": "user", "content": ""}
    with manager_of(12_000) as manager:
        turns = Turns(manager, 1 << 20)
        for said in ([empty, END, NEWEST], [NEWEST, END, empty], [empty]):
            body = body_of(endpoint, said)
            assert begun(turns, endpoint, body).sent == json.dumps(body).encode()
        body = body_of(endpoint, [*SAID, empty, END, NEWEST])
        assert len(check_acting(turns, endpoint, body)) > 4
