"""Clients that end their side of the connection and wait for their answer, and those that are gone."""

from __future__ import annotations

import json
import socket
import time

import pytest

from contextkit.server.settings import Settings
from tests.fakes.answers import Answer, saying
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, manager_of, serving

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
SLOW_S = 0.5


def asked(**more: object) -> bytes:
    """A whole request; the connection is meant to be kept."""
    said = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **more}
    body = json.dumps(said).encode()
    fields = ["host: 127.0.0.1", "content-type: application/json", f"content-length: {len(body)}"]
    head = ["POST /v1/chat/completions HTTP/1.1", *fields, "", ""]
    return "\r\n".join(head).encode() + body


def left(connection: socket.socket) -> bytes:
    """All that comes until the other side ends it too."""
    found = b""
    while data := connection.recv(65536):
        found += data
    return found


def half_closed(running: Running, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return left(connection)


def slowly(_: dict[str, object]) -> Answer:
    time.sleep(SLOW_S)
    return Answer("Gate twelve.")


def test_who_ends_his_side_is_answered(proxy: Running, provider: FakeProvider) -> None:
    provider.respond = slowly
    answer = half_closed(proxy, asked())
    assert answer.startswith(INTERIM)
    while answer.startswith(INTERIM):
        answer = answer.removeprefix(INTERIM)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Gate twelve."
    assert list(proxy.logs().values()) == [["hi", "Gate twelve."]]


def test_a_stream_comes_whole(proxy: Running, provider: FakeProvider) -> None:
    provider.respond, provider.chunk_delay_s = saying("one two three"), 0.05
    answer = half_closed(proxy, asked(stream=True))
    assert answer.rstrip().endswith(b"data: [DONE]\n\n\r\n0")
    assert list(proxy.logs().values()) == [["hi", "one two three"]]


def test_several_requests_are_all_answered(proxy: Running, provider: FakeProvider) -> None:
    provider.respond = slowly
    answer = half_closed(proxy, asked() * 3)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    answers = answer.replace(INTERIM, b"").split(b"HTTP/1.1 200 ")[1:]
    contents = [json.loads(each.partition(b"\r\n\r\n")[2])["choices"] for each in answers]
    assert [c[0]["message"]["content"] for c in contents] == ["Gate twelve."] * 3


@pytest.mark.parametrize("end", ["closed", "reset"])
def test_who_left_before_his_answer_stops_the_upstream(end: str) -> None:
    """A request that nobody waits for any more costs nothing further."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with serving(manager_of(), Settings(upstream=origin)) as running:
            client = socket.create_connection(("127.0.0.1", running.port), timeout=20)
            client.sendall(asked())
            upstream, _ = listening.accept()
            upstream.settimeout(20)
            with upstream:
                assert upstream.recv(65536)
                if end == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                left(upstream)
            assert not any(running.logs().values())


def test_half_a_request_is_none(proxy: Running, provider: FakeProvider) -> None:
    assert half_closed(proxy, asked()[:-3]) == b""
    assert not provider.seen


def test_http_1_0_knows_no_interim_answers(proxy: Running, provider: FakeProvider) -> None:
    provider.respond = slowly
    assert half_closed(proxy, asked().replace(b"HTTP/1.1", b"HTTP/1.0")) == b""
    assert not any(proxy.logs().values())
