"""What is sent on: byte for byte where nothing has to leave, the client's own bytes for all that stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from contextkit.server.settings import Settings
from tests.fakes.answers import saying
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

JSON = {"content-type": "application/json", "authorization": "Bearer sk-1", "x-api-key": "sk-1"}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"

TURNS = {
    CHAT: [
        '{"role":"system","content":"Rules — öäü"}',
        '{ "content" : "na\\u00efve \\ud83d\\ude00 text", "role":"user" }',
        '{"role":"assistant","content":"Fine."}',
        '{"role":"user","content":[{"type":"text","text":"a\\/b"},{"type":"text", "text":"c"}]}',
        '{"role":"assistant","content":"Fine."}',
        '\n {"role" : "user", "content" : "last"}',
    ],
    RESPONSES: [
        '{"role":"user","content":"öne"}',
        '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Fine."}]}',
        '{"role":"user","content":[{"type":"input_text","text":"tw\\u00f6"}]}',
        '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Fine."}]}',
        '{"role":"user","content":"three"}',
    ],
    MESSAGES: [
        '{"role":"user","content":"öne"}',
        '{"role":"assistant","content":[{"type":"text","text":"Fine."}]}',
        '{ "role":"user", "content":[{"type":"text","text":"two","cache_control":{"type":"ephemeral"}}] }',
        '{"role":"assistant","content":"Fine."}',
        '{"role":"user","content":"three"}',
    ],
}
BODIES = {
    CHAT: (
        '{{"model":"gpt-4o", "metadata":{{"n":1.50E+2,"big":12345678901234567890123}},'
        '"messages" :\t[{}] ,"seed":7}}'
    ),
    RESPONSES: '{{ "input": [{}],\r\n"model":"gpt-4o","instructions":"Kind\\u002e","store":false}}',
    MESSAGES: '{{"max_tokens":99,"messages":[{}],"model":"claude-sonnet-5","system":"Kind.","top_p":0.90}}',
}


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("separator", [",", " ,\n  "])
def test_bodies_pass_byte_for_byte(
    path: str, separator: str, proxy: Running, provider: FakeProvider
) -> None:
    provider.respond = saying("Fine.")
    turns = TURNS[path]
    first = 2 if path == CHAT else 1
    for stop in range(first, len(turns) + 1, 2):
        body = BODIES[path].format(separator.join(turns[:stop])).encode()
        answer = http.post(f"{proxy.origin}{path}", content=body, headers=JSON)
        assert answer.status_code == 200, answer.text
        assert provider.seen[-1].raw == body
    (log,) = proxy.logs().values()
    assert len(log) == len(turns) + 1 + (path != CHAT)
    told = http.get(f"{proxy.origin}/metrics").text
    assert 'contextkit_turns_total{outcome="unchanged"} 3.0' in told


def test_a_large_body_and_odd_headers_pass_byte_for_byte(
    proxy: Running, provider: FakeProvider
) -> None:
    sent = {"model": "m", "input": "é" * 1_000_000, "previous_response_id": "r"}
    body = json.dumps(sent, ensure_ascii=False).encode()
    odd = {**JSON, "x-odd": "café; a,b"}
    headers = [(name.encode(), value.encode()) for name, value in odd.items()]
    http.post(f"{proxy.origin}{RESPONSES}", content=body, headers=headers)
    assert provider.seen[-1].raw == body
    assert provider.seen[-1].headers["x-odd"].encode("latin-1").decode() == "café; a,b"


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_stays_is_the_clients_own_bytes(path: str, provider: FakeProvider) -> None:
    """In a tight window, whatever the messages' spelling, also where earlier ones change."""
    provider.respond = saying("Fine.")
    asked: list[str] = []
    with serving(manager_of(1500), Settings(upstream=provider.origin)) as running:
        for number in range(24):
            asked.append(f'{{ "role":"user","content":"caf\\u00e9 {number} é{" word" * 60}" }}')
            body = BODIES[path].format(" , ".join(asked)).encode()
            answer = http.post(f"{running.origin}{path}", content=body, headers=JSON)
            assert answer.status_code == 200, answer.text
            sent = provider.seen[-1].raw.decode()
            items = re.findall(r'\{ ?"role".*?"(?: )?\}', sent)
            assert set(items) <= set(asked)
            assert items[-1] == asked[-1].rstrip()
            outside = BODIES[path].split("{}")
            assert sent.startswith(outside[0].replace("{{", "{").replace("}}", "}"))
            assert sent.endswith(outside[1].replace("{{", "{").replace("}}", "}"))
            asked.append('{"role":"assistant","content":"Fine."}')
        told = http.get(f"{running.origin}/metrics").text
    assert len(provider.seen[-1].body["messages"]) < len(asked)
    assert 'contextkit_turns_total{outcome="changed"}' in told
    assert all(len(seen.body["messages"]) for seen in provider.seen)


def test_tools_in_order_and_unknown_fields_stay_where_tools_are_sorted(
    provider: FakeProvider,
) -> None:
    """A policy that sorts the tools writes the request anew; what it does not know stays as it was."""
    provider.respond = saying("Fine.")
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("zeta", "alpha")
    ]
    body = (
        '{"model":"gpt-4o","metadata":{"n":1.50E+2},"messages":[{"role":"user","content":"hi"}],'
        f'"tools":{json.dumps(tools)}}}'
    )
    with serving(
        manager_of(9000, "sliding_window", "cacheable_prefix"), Settings(upstream=provider.origin)
    ) as running:
        answer = http.post(f"{running.origin}{CHAT}", content=body, headers=JSON)
        assert answer.status_code == 200, answer.text
    names = [tool["function"]["name"] for tool in provider.seen[-1].body["tools"]]
    assert names == ["alpha", "zeta"]
    assert b'"metadata":{"n":1.50E+2}' in provider.seen[-1].raw


def test_cache_points_reach_claude(provider: FakeProvider) -> None:
    provider.respond = saying("Fine.")
    manager = manager_of(
        9000,
        "sliding_window",
        "cacheable_prefix",
        backend={"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k", "window": 9000},
    )
    with serving(manager, Settings(upstream=provider.origin)) as running:
        body: Any = {"max_tokens": 9, "model": "claude-sonnet-5", "system": "Kind."}
        body["messages"] = [{"role": "user", "content": "hello " * 50}]
        answer = http.post(f"{running.origin}{MESSAGES}", json=body, headers=JSON)
        assert answer.status_code == 200, answer.text
    assert b'"cache_control":{"type":"ephemeral"}' in provider.seen[-1].raw


def test_headers_of_the_hop_stay_behind(proxy: Running, provider: FakeProvider) -> None:
    headers = {
        **JSON,
        "anthropic-beta": "one,two",
        "x-contextkit-thread": "mine",
        "connection": "keep-alive, x-secret-hop",
        "x-secret-hop": "no",
        "proxy-authorization": "Basic no",
        "te": "trailers",
    }
    sent = {"max_tokens": 9, "model": "m", "messages": [{"role": "user", "content": "hi"}]}
    http.post(f"{proxy.url}/messages?beta=true", json=sent, headers=headers)
    got = provider.seen[-1].headers
    assert (got["anthropic-beta"], got["x-api-key"]) == ("one,two", "sk-1")
    for name in ("x-contextkit-thread", "x-secret-hop", "proxy-authorization", "te"):
        assert name not in got
    assert got["host"] == provider.origin.removeprefix("http://")


@pytest.mark.parametrize(
    ("upstream", "path", "expected"),
    [
        ("https://api.openai.com", "/v1/models", "https://api.openai.com/v1/models"),
        ("https://api.openai.com/v1/", "/v1/models", "https://api.openai.com/v1/models"),
        ("https://g/v1beta/openai", "/v1/models", "https://g/v1beta/openai/models"),
    ],
)
def test_where_requests_go(upstream: str, path: str, expected: str) -> None:
    assert Settings(upstream=upstream).base_url + path.removeprefix("/v1") == expected
