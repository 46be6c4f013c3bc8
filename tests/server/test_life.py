"""The proxy as a process: killed, told to stop, asked by many at once."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from typer.testing import CliRunner

import contextkit
from contextkit.cli.commands import app
from contextkit.server.exchange import ClientGone, Outlet
from contextkit.server.settings import Settings
from contextkit.server.upstream import proxy_for
from tests.fakes.answers import Answer, saying, text_in
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

KEY = {"authorization": "Bearer sk-1"}


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`contextkit serve` with a database on disk, and where it listens.

    Its model is one whose tokens are estimated: reading a tokenizer takes longer than all else here.
    """
    config = {
        "backend": {"kind": "openai", "model": "unknown", "api_key": "k"},
        "budget": {"window": 100_000, "reply_reserve": 512},
        "history": {"kind": "sql", "url": f"sqlite:///{folder}/threads.db"},
    }
    path = folder / "agent.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "contextkit.cli", "serve", "-c", str(path), "--port", "0"]
    child = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        line = child.stderr.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        assert found, line + child.stderr.read()
        yield child, found[0]
    finally:
        child.kill()
        child.wait(30)
        assert child.stderr is not None
        child.stderr.close()


def logs_on_disk(folder: Path) -> list[list[str]]:
    with contextkit.load(folder / "agent.yaml") as manager:
        assert not manager.verify(None)
        return [
            [m.text for m in manager.thread(each.name, tenant=each.tenant).history()]
            for each in manager.threads(None)
        ]


def talk(origin: str, name: str, acknowledged: list[tuple[str, int]]) -> None:
    """Turn after turn, streamed, until the server is gone; what was read to its end is noted."""
    history: list[dict[str, Any]] = []
    with httpx.Client(timeout=30) as client, suppress(httpx.HTTPError):
        for turn in range(1000):
            history.append({"role": "user", "content": f"{name} asks {turn}"})
            body = {"model": "gpt-4o", "stream": True, "messages": history}
            url, said, ended = f"{origin}/v1/chat/completions", "", False
            with client.stream("POST", url, json=body, headers=KEY) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        choice = json.loads(line[6:])["choices"][0]
                        said += choice["delta"].get("content") or ""
                        ended = ended or choice["finish_reason"] is not None
                        if ended:
                            acknowledged.append((name, turn))
                            break
            if not ended:
                return
            history.append({"role": "assistant", "content": said})


def check_kill(provider: FakeProvider, folder: Path, after_s: float, label: str = "") -> int:
    """Kill the proxy in the middle of streams; all that a client saw the end of is in the log."""
    provider.reset()
    provider.respond, provider.chunk_delay_s = saying("a few words of an answer"), 0.005
    acknowledged: list[tuple[str, int]] = []
    with process(folder, "--upstream", provider.origin) as (child, origin):
        talkers = [
            threading.Thread(target=talk, args=(origin, f"{label}n{n}", acknowledged))
            for n in range(4)
        ]
        for talker in talkers:
            talker.start()
        deadline = time.monotonic() + 30
        while len(acknowledged) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        for talker in talkers:
            talker.join(30)
    logs = {log[0].split()[0]: log for log in logs_on_disk(folder) if log}
    for name, turn in acknowledged:
        asked = logs[name].index(f"{name} asks {turn}")
        assert logs[name][asked + 1] == "a few words of an answer"
    return len(acknowledged)


def test_killed_in_mid_stream(provider: FakeProvider, tmp_path: Path) -> None:
    assert check_kill(provider, tmp_path, 0.03) >= 8


@pytest.mark.slow
def test_killed_twenty_times(provider: FakeProvider, tmp_path: Path) -> None:
    """The same database each time: it is opened again as the kill left it."""
    chance = random.Random(5)
    for number in range(20):
        assert check_kill(provider, tmp_path, chance.uniform(0, 0.2), f"k{number}") >= 8


def test_told_to_stop_it_finishes_what_is_under_way(provider: FakeProvider, tmp_path: Path) -> None:
    provider.respond, provider.chunk_delay_s = saying("word " * 30), 0.03
    with process(tmp_path, "--upstream", provider.origin) as (child, origin):
        body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        url = f"{origin}/v1/chat/completions"
        with http.stream("POST", url, json=body, headers=KEY) as answer:
            chunks = answer.iter_raw()
            said = next(chunks)
            child.send_signal(signal.SIGTERM)
            said += b"".join(chunks)
        assert said.endswith(b"data: [DONE]\n\n")
        assert child.wait(30) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            http.get(f"{origin}/healthz")
    assert logs_on_disk(tmp_path) == [["hi", "word " * 30]]


def test_what_was_recorded_reaches_the_file_by_itself(
    provider: FakeProvider, tmp_path: Path
) -> None:
    """The database's file alone, without the log beside it, has the turn a while after it was recorded."""
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/threads.db"}
    with serving(manager_of(history=history), Settings(upstream=provider.origin)) as running:
        sent = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        told = http.post(f"{running.url}/chat/completions", json=sent, headers=KEY)
        assert told.status_code == 200
        for number in range(200):
            alone = shutil.copy(tmp_path / "threads.db", tmp_path / f"{number}.db")
            with closing(sqlite3.connect(alone)) as connection, suppress(sqlite3.OperationalError):
                if connection.execute("SELECT count(*) FROM contextkit_turns").fetchone()[0]:
                    return
            time.sleep(0.05)
    pytest.fail("the turn stayed in the log")


def echo_mark(body: dict[str, Any]) -> Answer:
    return Answer(" ".join([text_in(body["messages"][-1])] * 5))


def check_streams(running: Running, n_streams: int, n_turns: int) -> None:
    """Many conversations at once, streamed: each gets its own words, each has its own log."""

    async def converse(client: httpx.AsyncClient, number: int) -> None:
        history: list[dict[str, Any]] = []
        for turn in range(n_turns):
            history.append({"role": "user", "content": f"<{number}.{turn}>"})
            body = {"model": "gpt-4o", "stream": True, "messages": history}
            said = ""
            url = f"{running.url}/chat/completions"
            async with client.stream("POST", url, json=body, headers=KEY) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        said += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            assert said == " ".join([f"<{number}.{turn}>"] * 5)
            history.append({"role": "assistant", "content": said})

    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(timeout=60, limits=limits) as client,
            anyio.create_task_group() as group,
        ):
            for number in range(n_streams):
                group.start_soon(converse, client, number)

    anyio.run(all_of_them)
    logs = running.logs()
    assert len(logs) == n_streams
    for log in logs.values():
        number = log[0].strip("<>").split(".")[0]
        assert log[::2] == [f"<{number}.{turn}>" for turn in range(n_turns)]
        assert all(f"<{number}." in text for text in log)


def test_many_streams_are_not_crossed(proxy: Running, provider: FakeProvider) -> None:
    provider.respond, provider.chunk_delay_s = echo_mark, 0.001
    check_streams(proxy, n_streams=16, n_turns=3)


def test_one_conversation_from_many_sides_loses_nothing(
    proxy: Running, provider: FakeProvider
) -> None:
    """The same opening at once: every reply that was handed out is in some log."""
    answers = iter(range(100))
    provider.respond = lambda _: Answer(f"answer {next(answers)}")
    sent = {"model": "gpt-4o", "messages": [{"role": "user", "content": "the same"}]}
    said: list[str] = []

    def ask() -> None:
        told = httpx.post(f"{proxy.url}/chat/completions", json=sent, headers=KEY, timeout=60)
        said.append(told.json()["choices"][0]["message"]["content"])

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = {text for log in proxy.logs().values() for text in log}
    assert set(said) <= kept
    assert len(set(said)) == 6


def test_a_client_that_does_not_read_is_let_go() -> None:
    async def full(_: Any) -> None:
        await anyio.sleep_forever()

    async def write() -> None:
        with pytest.raises(ClientGone):
            await Outlet(full, timeout_s=0.01).write(b"data")

    anyio.run(write)


def test_a_kept_connection_that_was_closed_is_no_error() -> None:
    """The upstream closes its connections just when they are used a second time."""
    reply = {"role": "assistant", "content": "fine"}
    content = json.dumps({"choices": [{"message": reply, "finish_reason": "stop"}]}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    served: list[int] = []

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer % (len(content), content))
                    served.append(len(connection.recv(65536)))  # the second one stays unanswered

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,), daemon=True)
        server.start()
        upstream = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with serving(manager_of(), Settings(upstream=upstream)) as running:
            for number in range(3):
                sent = {"messages": [{"role": "user", "content": f"{number}"}]}
                told = http.post(f"{running.url}/chat/completions", json=sent, headers=KEY)
                assert told.status_code == 200, told.text
        assert len(served) >= 2
        assert min(served[:2]) > 0, "it was asked on kept connections"


def test_the_command_says_what_is_wrong() -> None:
    for options, told in (
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--upstream", "nowhere"], "--upstream"),
        (["--upstream-key-env", "EMPTY"], "EMPTY"),
        (["--host", "203.0.113.7", "--allow-remote"], "cannot be listened on"),
        (["--log-level", "loud"], "--log-level"),
    ):
        done = CliRunner().invoke(app, ["serve", *options], env={"EMPTY": ""})
        assert done.exit_code == 2
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/v1", "http://out.example:3128"),
        ("https://inside.example:8443/v1", None),
        ("http://api.example.com/v1", None),
    ],
)
def test_the_environments_proxy_is_used(
    url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://out.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for(url) == expected
