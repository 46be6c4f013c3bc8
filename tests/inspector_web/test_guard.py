"""Who may look: host names, tokens, cookies, headers; the server around the app, and the command."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse
from typer.testing import CliRunner

import contextkit
from contextkit.cli.commands import app as command_line
from contextkit.errors import ConfigError
from contextkit.inspector.web import create_app, running, serve
from contextkit.inspector.web.guard import Guard, host_name, is_allowed, is_loopback
from tests.inspector_web.conftest import manager_of, talk

TOKEN = "correct horse"


def ask(app: Guard, path: str = "/", method: str = "GET", **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    return anyio.run(send)


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8642", True),
        ("127.0.0.1:8642", True),
        ("[::1]:8642", True),
        ("192.168.1.7", True),
        ("evil.example", False),
        ("localhost.evil.example:8642", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("localhost:80:80", False),
        ("", False),
        ("[", False),
    ],
)
def test_only_names_that_nobody_can_rebind(header: str, allowed: bool) -> None:
    assert is_allowed(header, frozenset({"localhost"})) is allowed


def test_a_strange_host_gets_nothing(lived: contextkit.ContextManager) -> None:
    app = create_app(lived)
    for path in ("/", "/api/threads", "/static/style.css"):
        refused = ask(app, path, headers={"host": "evil.example"})
        assert refused.status_code == 421
        assert "support" not in refused.text
    assert host_name("[::1]:80") == "::1"


def test_every_answer_has_the_headers(lived: contextkit.ContextManager) -> None:
    app = create_app(lived)
    for path in ("/", "/api/threads", "/api/nothing", "/static/style.css", "/thread?name=nope"):
        headers = ask(app, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_no_page_has_a_script_or_a_style_of_its_own(lived: contextkit.ContextManager) -> None:
    app = create_app(lived)
    for path in ("/", "/thread?name=support/42", "/enter"):
        text = ask(app, path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=", text)


def test_a_token_is_asked_for_once(lived: contextkit.ContextManager) -> None:
    app = create_app(lived, token=TOKEN)
    assert ask(app, "/api/threads").status_code == 401
    assert ask(app, "/api/threads?token=wrong").status_code == 401
    assert ask(app, "/original.txt?name=support/42&handle=m1").status_code == 401
    asked = ask(app, "/", headers={"accept": "text/html"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/enter")
    first = ask(app, f"/thread?name=support/42&token={TOKEN}")
    assert (first.status_code, first.headers["location"]) == (303, "/thread?name=support%2F42")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    name, _, value = cookie.partition(";")[0].partition("=")
    assert ask(app, "/api/threads", headers={"cookie": f"{name}={value}"}).status_code == 200
    assert ask(app, "/api/threads", headers={"cookie": f"{name}=x{value}"}).status_code == 401
    junk = {"cookie": f"other={{[; =; {name}={value}"}
    assert ask(app, "/api/threads", headers=junk).status_code == 200
    other = create_app(lived, token=TOKEN)
    assert ask(other, "/api/threads", headers={"cookie": f"{name}={value}"}).status_code == 401


def test_a_token_in_a_header(lived: contextkit.ContextManager) -> None:
    app = create_app(lived, token=TOKEN)
    for header, status in (
        (f"Bearer {TOKEN}", 200),
        ("Bearer wrong", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer \xff", 401),
    ):
        found = ask(app, "/api/threads", headers={"authorization": header.encode("latin-1")})
        assert found.status_code == status


def test_the_form_that_asks(lived: contextkit.ContextManager) -> None:
    app = create_app(lived, token=TOKEN)
    assert 'type="password"' in ask(app, "/enter").text
    assert ask(app, "/static/style.css").status_code == 200
    wrong = ask(app, "/enter", "POST", data={"token": "guess"})
    assert (wrong.status_code, "not the token" in wrong.text) == (401, True)
    right = ask(app, "/enter", "POST", data={"token": TOKEN})
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert "set-cookie" in right.headers
    open_to_all = create_app(lived)
    assert ask(open_to_all, "/enter", "POST", data={"token": ""}).status_code == 401


def test_static_paths_do_not_lead_out(lived: contextkit.ContextManager) -> None:
    app = create_app(lived, token=TOKEN)
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fbill.py"):
        assert ask(app, path).status_code in (401, 404)


def test_other_scopes_pass_through() -> None:
    entered: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        entered.append(scope["type"])
        await PlainTextResponse("x")(scope, receive, send) if scope["type"] == "http" else None

    guard: Any = Guard(app, token="t")
    anyio.run(guard, {"type": "lifespan"}, None, None)
    assert entered == ["lifespan"]


def test_beyond_this_machine_there_is_always_a_token(lived: contextkit.ContextManager) -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
    with running(lived, host="0.0.0.0") as address:
        assert re.fullmatch(r"http://localhost:\d+/\?token=[\w-]{32}", address)
        bare = address.partition("?")[0]
        assert httpx.get(bare + "api/threads").status_code == 401
        with httpx.Client(follow_redirects=True) as client:
            assert "Threads" in client.get(address).text
            assert client.get(bare + "api/threads").status_code == 200
    with running(lived) as address:
        assert httpx.get(address + "api/threads").json()["n_all"] == 4


def test_news_arrive_as_events() -> None:
    with manager_of("memory") as manager:
        thread = manager.thread("t")
        talk(thread, 1, "first")
        with (
            running(manager) as address,
            httpx.stream("GET", f"{address}api/events?tenant=default&name=t", timeout=20) as found,
        ):
            lines = found.iter_lines()
            assert next(line for line in lines if line.startswith("data")).endswith('"n_turns": 1}')
            talk(thread, 2, "second")
            assert next(line for line in lines if line.startswith("data")).endswith('"n_turns": 2}')


def test_a_port_that_is_taken_and_an_empty_token(lived: contextkit.ContextManager) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot be opened"):
            serve(lived, port=taken.getsockname()[1])
    with pytest.raises(ConfigError, match="token: empty"):
        serve(lived, token=" ")


def test_the_command_serves_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(f"history: {{kind: sql, url: 'sqlite:///{tmp_path / 'h.db'}'}}\n")
    with contextkit.load(config) as manager:
        manager.thread("support/42").respond("hello")
    command = [sys.executable, "-m", "contextkit.cli", "inspect", "--web", "--port", "0"]
    started = subprocess.Popen(
        [*command, "support/42"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert started.stderr is not None
    line = started.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/thread\?tenant=default&name=support%2F42", line)
    assert found, line
    for _ in range(100):
        try:
            assert "support/42" in httpx.get(found[0]).text
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, rest = started.communicate(timeout=20)
    assert "Traceback" not in rest
    monkeypatch.chdir(tmp_path)
    missing = CliRunner().invoke(command_line, ["inspect", "--web", "--port", "0", "nope"])
    assert missing.exit_code == 2
    assert "has no thread 'nope'" in missing.stderr


def test_without_the_extra_there_is_one_clear_sentence() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "try:\n    import contextkit.inspector.web\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    says = 'ConfigError inspector: starlette is not installed; pip install "contextkit[inspector]"'
    assert done.stdout.strip() == says, done.stderr


def test_the_form_takes_a_token_and_no_more(lived: contextkit.ContextManager) -> None:
    """Nobody who was not let in may fill the memory."""
    app = create_app(lived, token=TOKEN)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield b"x" * 1000

    told = ask(app, "/enter", "POST", content=endless())
    assert told.status_code == 413
    assert read < 10
