"""Requests that are rare, and some that would reach further than they should."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import httpx
import pytest

from contextkit.server.running import LONGEST_HEAD
from contextkit.server.settings import Settings
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

SENT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
GOOD = json.dumps(SENT).encode()


def spoken(running: Running, *parts: bytes) -> bytes:
    """What comes back for these bytes on a connection of its own, until it is closed."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        answer = b""
        with suppress(ConnectionError):  # it may be closed while there is more to send
            for part in parts:
                connection.sendall(part)
            while data := connection.recv(65536):
                answer += data
        return answer


def head(*lines: str, host: str = "127.0.0.1") -> bytes:
    fixed = [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
    ]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def ask(running: Running, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return http.post(f"{running.url}/chat/completions", json=SENT, headers=sent)


@pytest.mark.parametrize("host", ["[", "[::1", "127.0.0.1.evil.example", ""])
def test_hosts_that_are_none_are_kept_out(host: str, proxy: Running) -> None:
    answer = spoken(
        proxy, head("connection: close", f"content-length: {len(GOOD)}", host=host) + GOOD
    )
    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://evil.example", 403),
        ("http://127.0.0.1.evil.example:8080", 403),
        ("https://[", 403),
        ("null", 403),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:5173", 200),
        ("app://notes", 200),
    ],
)
def test_pages_of_other_machines_are_kept_out(
    origin: str, expected: int, proxy: Running, provider: FakeProvider
) -> None:
    assert ask(proxy, origin=origin).status_code == expected
    preflight = {"origin": origin, "access-control-request-method": "POST"}
    asked = http.options(f"{proxy.url}/chat/completions", headers=preflight)
    assert (asked.status_code == 403) is (expected == 403)
    assert len(provider.seen) == (expected == 200)


def test_a_page_with_the_token_is_let_in(provider: FakeProvider) -> None:
    with serving(manager_of(), Settings(upstream=provider.origin, token="tökén")) as running:
        told = ask(running, origin="https://chat.example", x_contextkit_token="tökén")
        assert told.status_code == 200
        assert ask(running, x_contextkit_token="token").status_code == 401


def test_names_are_read_as_utf_8(proxy: Running) -> None:
    for name in ("café", "北京 — naïve", "\N{GRINNING FACE}"):
        assert ask(proxy, x_contextkit_thread=name).status_code == 200
        assert name in {record.name for record in proxy.manager.threads(None)}
    latin = {b"x-contextkit-thread": "caf\xe9!".encode("latin-1")}
    assert http.post(f"{proxy.url}/chat/completions", json=SENT, headers=latin).status_code == 200
    assert "café!" in {record.name for record in proxy.manager.threads(None)}


def test_a_wish_for_http_2_is_passed_over(proxy: Running, provider: FakeProvider) -> None:
    """Java's own client asks so with its first request, the body behind it."""
    wish = ("connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "http2-settings: AAEAAEAA")
    asked = head(*wish, f"content-length: {len(GOOD)}") + GOOD
    last = head("connection: close", f"content-length: {len(GOOD)}") + GOOD
    answer = spoken(proxy, asked, last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [seen.raw for seen in provider.seen] == [GOOD, GOOD]
    assert not {"upgrade", "http2-settings"} & set(provider.seen[0].headers)


def test_heads_have_an_end(proxy: Running, provider: FakeProvider) -> None:
    line = b"x-a: " + b"y" * 8000 + b"\r\n"
    endless = [b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n", *[line] * 200]
    answer = spoken(proxy, *endless)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    in_one_line = spoken(proxy, *[b"GET /v1/models HTTP/1.1\r\nx: ", *[b"y" * 8000] * 200])
    assert not in_one_line or b"131,072 bytes at most" in in_one_line
    assert LONGEST_HEAD == 131_072
    assert not provider.seen
    assert http.get(f"{proxy.origin}/healthz").text == "ok\n"


def test_a_head_behind_a_long_body_is_not_taken_for_long(
    proxy: Running, provider: FakeProvider
) -> None:
    """Two requests on one connection, the second one's head in the piece that ends the first."""
    long = GOOD.replace(b'"hi"', b'"' + b"a " * 200_000 + b'"')
    first = head(f"content-length: {len(long)}") + long
    second = head("connection: close", f"content-length: {len(GOOD)}") + GOOD
    answer = spoken(proxy, first + second[:40], second[40:])
    assert answer.count(b"HTTP/1.1 200 OK") + answer.count(b"context_length_exceeded") == 2
    assert provider.seen[-1].raw == GOOD


def test_fields_behind_a_body_are_not_the_requests_headers(provider: FakeProvider) -> None:
    settings = Settings(upstream=provider.origin, trust_tenant_header=True)
    with serving(manager_of(), settings) as running:
        chunked = b"%x\r\n%s\r\n0\r\n" % (len(GOOD), GOOD)
        fields = b"x-contextkit-tenant: someone else\r\nx-contextkit-thread: theirs\r\n\r\n"
        asked = head("connection: close", "transfer-encoding: chunked") + chunked + fields
        assert spoken(running, asked).startswith(b"HTTP/1.1 200 ")
        assert [record.tenant for record in running.manager.threads(None)] == ["anonymous"]


@pytest.mark.parametrize(
    "path", ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/x/..%2f..%2fadmin", "/v1/."]
)
def test_nothing_above_the_api_is_reached(
    path: str, proxy: Running, provider: FakeProvider
) -> None:
    asked = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
    assert spoken(proxy, asked).startswith(b"HTTP/1.1 404 ")
    assert not provider.seen


def test_what_would_show_the_key_is_not_passed(proxy: Running, provider: FakeProvider) -> None:
    asked = b"TRACE /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    assert spoken(proxy, asked).startswith(b"HTTP/1.1 405 ")
    assert not provider.seen


def test_no_packing_by_any_spelling(proxy: Running) -> None:
    assert ask(proxy, content_encoding="Identity").status_code == 200
    assert ask(proxy, content_encoding="GZIP").status_code == 415


def test_a_path_says_whose_api_is_spoken(proxy: Running) -> None:
    """Gateways send the headers of all of them."""
    sent = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    answer = http.post(f"{proxy.url}/chat/completions", content=b"[]", headers=sent)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    told = http.get(f"{proxy.origin}/nowhere", headers=sent)
    assert (told.status_code, told.json()["type"]) == (404, "error")
