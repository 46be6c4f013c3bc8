"""Requests that are meant to hurt, or only broken: answered in time, in the API's own shape."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit.server import running as server_running
from contextkit.server.settings import Settings
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

CHAT = "/v1/chat/completions"
GOOD = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture(scope="module")
def small(running_provider: FakeProvider) -> Iterator[Running]:
    running_provider.reset()
    settings = Settings(upstream=running_provider.origin, max_body_bytes=2000, body_timeout_s=0.4)
    with serving(manager_of(), settings) as running:
        yield running


def spoken(running: Running, *parts: bytes, pause_s: float = 0.0, hangs_up: bool = False) -> bytes:
    """What comes back on a connection of its own, up to its end."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        for part in parts:
            with suppress(OSError):
                connection.sendall(part)
            time.sleep(pause_s)
        if hangs_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(OSError):  # reset by the other side, whose answer may have come before
            while data := connection.recv(65536):
                answer += data
        return answer


def head(*lines: str, path: str = CHAT) -> bytes:
    fixed = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    return "\r\n".join([*fixed, *lines, "connection: close", "", ""]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "lines",
    [
        (f"content-length: {len(GOOD)}", "content-length: 5"),
        (f"content-length: {len(GOOD)}", f"content-length: {len(GOOD)}"),
        (f"content-length: {len(GOOD)}", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", f"content-length: {len(GOOD)}"),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding: \x0bchunked",),
        ("content-length: +60",),
        ("content-length: 0x3c",),
        ("content-length : 60",),
        ("x: y\nz",),
    ],
)
def test_two_ways_to_read_one_request_is_none(
    lines: tuple[str, ...], small: Running, running_provider: FakeProvider
) -> None:
    running_provider.reset()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    for body in (GOOD, chunked, GOOD + b"POST /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"):
        answer = spoken(small, head(*lines) + body)
        assert not answer or status(answer) in (400, 501), answer
        assert answer.count(b"HTTP/1.1") <= 1
    assert not running_provider.seen


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
def test_too_large_is_413_in_the_apis_shape(path: str, small: Running) -> None:
    body = b'{"model":"' + b"x" * 3000 + b'"}'
    told = http.post(
        f"{small.origin}{path}", content=body, headers={"content-type": "application/json"}
    )
    assert told.status_code == 413
    error = told.json()
    if path == "/v1/messages":
        assert (error["type"], error["error"]["type"]) == ("error", "request_too_large")
    else:
        assert error["error"]["type"] == "invalid_request_error"


def test_endless_bodies_are_cut(small: Running) -> None:
    said = head("content-length: 99999999")
    assert status(spoken(small, said)) == 413
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert status(spoken(small, head("transfer-encoding: chunked"), *[chunk] * 8)) == 413


def test_a_slow_body_is_408(small: Running) -> None:
    answer = spoken(small, head("content-length: 60"), *[b" "] * 5, pause_s=0.15)
    assert status(answer) == 408
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"].startswith("the body")


def test_packed_bodies_are_415(small: Running) -> None:
    lines = ("content-encoding: gzip", f"content-length: {len(GOOD)}")
    assert status(spoken(small, head(*lines) + GOOD)) == 415


def test_a_connection_that_never_asks_is_closed(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_running, "IDLE_S", 0.15)
    with serving(manager_of(), Settings(upstream=provider.origin)) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127")
            assert connection.recv(100) == b""
        assert http.get(f"{running.origin}/healthz").status_code == 200


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_as_a_body(small: Running, body: bytes) -> None:
    for path in (CHAT, "/v1/messages"):
        told = http.post(
            f"{small.origin}{path}", content=body, headers={"content-type": "application/json"}
        )
        assert told.status_code == 400
        assert told.json()["error"]["type"] == "invalid_request_error"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_as_a_request(small: Running, data: bytes) -> None:
    answer = spoken(small, data, hangs_up=True)
    assert not answer or 400 <= status(answer) < 500
    assert http.get(f"{small.origin}/healthz").text == "ok\n"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/x", 404),
        ("DELETE", "/healthz", 404),
        ("POST", "/metrics", 404),
    ],
)
def test_what_is_not_here(method: str, path: str, expected: int, small: Running) -> None:
    told = http.request(method, f"{small.origin}{path}")
    assert told.status_code == expected
    assert "error" in told.json()
