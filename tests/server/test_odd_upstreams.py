"""Upstreams whose answers are rare or wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from contextkit.server.settings import Settings
from tests.server.running import Running, http, manager_of, serving

SENT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
WHOLE = json.dumps({"choices": [CHOICE]}).encode()
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
    WHOLE
)


@contextmanager
def upstream(answers: Callable[[int], bytes]) -> Iterator[tuple[Running, list[bytes]]]:
    """The proxy in front of a server that answers request `n` with these bytes; what it was asked."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while True:
                data = b""
                while b"\r\n\r\n" not in data:
                    more = connection.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, body = data.partition(b"\r\n\r\n")
                lengths = [
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ]
                while len(body) < sum(lengths):
                    body += connection.recv(65536)
                asked.append(head + b"\r\n\r\n" + body)
                connection.sendall(answers(len(asked)))

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with serving(manager_of(), Settings(upstream=origin, read_timeout_s=5)) as running:
            yield running, asked


def test_a_body_that_reads_like_a_head_stays_as_it_is() -> None:
    body = b"x: y\r\nupgrade: h2c\r\n\r\n"
    length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    head = b"POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\n" + length
    with upstream(lambda _: GOOD + WHOLE) as (running, asked):
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
            connection.sendall(head)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert asked[0].endswith(b"\r\n\r\n" + body)


def test_an_answer_that_is_none_is_not_asked_for_twice() -> None:
    """The connection was kept and is open: the request arrived, so it is not sent again."""
    with upstream(lambda n: GOOD + WHOLE if n == 1 else b"hello there\r\n\r\n") as (running, asked):
        assert http.post(f"{running.url}/chat/completions", json=SENT).status_code == 200
        told = http.post(f"{running.url}/chat/completions", json=SENT)
        assert told.status_code == 502
        assert told.json()["error"]["type"] == "server_error"
        assert len(asked) == 2


@pytest.mark.parametrize("path", ["chat/completions", "files"])
def test_no_body_where_none_is_due(path: str) -> None:
    answer = b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 55\r\n\r\n"
    with upstream(lambda _: answer) as (running, _):
        told = http.post(f"{running.url}/{path}", json=SENT)
        assert (told.status_code, told.headers["etag"], told.content) == (304, "x", b"")


def test_a_header_with_control_characters_stays_behind() -> None:
    answer = GOOD.replace(b"\r\n\r\n", b"\r\nx-a: b\x01c\r\nx-b: kept\r\n\r\n") + WHOLE
    with upstream(lambda _: answer) as (running, _):
        told = http.post(f"{running.url}/chat/completions", json=SENT)
        assert (told.status_code, told.content) == (200, WHOLE)
        assert told.headers["x-b"] == "kept"
        assert "x-a" not in told.headers
        assert ["hi", "ok"] in running.logs().values()


def test_another_protocol_is_no_answer() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    with upstream(lambda _: answer) as (running, _):
        assert http.get(f"{running.url}/models").status_code == 502


def test_events_by_any_spelling() -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
    stream = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(event).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream\r\ncontent-length: %d\r\n\r\n%s"
    with upstream(lambda _: answer % (len(stream), stream)) as (running, _):
        told = http.post(f"{running.url}/chat/completions", json={**SENT, "stream": True})
        assert told.content == stream
        assert ["hi", "ok"] in running.logs().values()
