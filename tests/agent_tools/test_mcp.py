"""The MCP server against the official client: in process, over stdio, over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from typer.testing import CliRunner

import contextkit
from contextkit import Thread
from contextkit.agent_tools import Limits
from contextkit.cli.commands import app
from contextkit.mcp_server import mcp_server, mcp_tools

mcp = pytest.importorskip("mcp", reason="the MCP SDK is not installed")


def text_of(result: Any) -> str:
    """The text of a tool's result."""
    return "".join(block.text for block in result.content)


async def use(client: Any) -> None:
    """What a client does: list, search, expand, remember, ask for what is not there."""
    listed = await client.list_tools()
    assert [tool.name for tool in listed.tools] == ["expand", "search_history", "remember"]
    assert listed.tools[0].input_schema["required"] == ["handle"]
    assert listed.tools[0].annotations.read_only_hint
    found = await client.call_tool("search_history", {"query": "vault code"})
    assert "7421" in text_of(found)
    assert not found.is_error
    assert "7421" in text_of(await client.call_tool("expand", {"handle": "m0"}))
    kept = await client.call_tool("remember", {"text": "The vault opens at nine."})
    assert "Kept as d1" in text_of(kept)
    unknown = await client.call_tool("expand", {"handle": "m99"})
    assert unknown.is_error
    assert "handles look like m17" in text_of(unknown)
    wrong = await client.call_tool("search_history", {"question": "x"})
    assert "takes no 'question'" in text_of(wrong)


def said(thread: Thread) -> None:
    """A short history with a fact."""
    thread.append(
        [
            {"role": "user", "content": "The vault code is 7421."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": "What else?"},
        ]
    )


def test_a_client_in_the_same_process() -> None:
    with contextkit.load({}) as cm:
        thread = cm.thread("t")
        said(thread)

        async def run() -> None:
            async with mcp.Client(mcp_server(mcp_tools(thread))) as client:
                await use(client)

        anyio.run(run)
        assert [d.name for d in thread.documents()] == ["note at m2.txt"]


def test_calls_are_limited_by_the_minute() -> None:
    with contextkit.load({}) as cm:
        thread = cm.thread("t")
        said(thread)
        tools = mcp_tools(thread, Limits(calls_per_turn=None, calls_per_minute=3))

        async def run() -> Any:
            async with mcp.Client(mcp_server(tools)) as client:
                return [await client.call_tool("expand", {"handle": "m0"}) for _ in range(4)]

        results = anyio.run(run)
        assert [result.is_error for result in results] == [False, False, False, True]
        assert "3 calls a minute" in text_of(results[3])


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A configuration whose history is in a file, with the thread in it."""
    path = tmp_path / "agent.yaml"
    path.write_text(
        f"history: {{kind: sql, url: 'sqlite:///{tmp_path / 'history.db'}'}}\n", "utf-8"
    )
    with contextkit.load(path) as cm:
        said(cm.thread("talk", tenant="acme"))
    return path


def command(config: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "contextkit.cli", "mcp", "--config", str(config), "--thread", "talk",
            "--tenant", "acme", *more]  # fmt: skip


def test_a_client_over_stdio(kept: Path) -> None:
    program, *arguments = command(kept)

    async def run() -> None:
        from mcp.client.stdio import StdioServerParameters

        server = StdioServerParameters(command=program, args=arguments, cwd=str(kept.parent))
        with anyio.fail_after(90):
            async with mcp.Client(server) as client:
                await use(client)

    anyio.run(run)
    with contextkit.load(kept) as cm:
        assert len(cm.thread("talk", tenant="acme").documents()) == 1
        assert not cm.verify()


@contextmanager
def served(config: Path) -> Iterator[str]:
    """The server on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        command(config, "--http", "--port", str(port)), stderr=subprocess.PIPE
    ) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended early"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        anyio.run(anyio.sleep, 0.1)
    raise AssertionError("the server did not come up")


def test_clients_over_http(kept: Path) -> None:
    with served(kept) as url:

        async def run() -> None:
            with anyio.fail_after(90):
                async with mcp.Client(url) as client:
                    await use(client)

        anyio.run(run)
        stranger = httpx.post(url, json={}, headers={"Host": "evil.example"})
        assert stranger.status_code in (403, 421)


def test_options_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["mcp", "--thread", " "])
    assert done.exit_code == 2
    assert "--thread: name a thread" in done.output
    assert "--thread" in CliRunner().invoke(app, ["mcp"]).output


def test_a_missing_sdk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with (
        contextkit.load({}) as cm,
        pytest.raises(contextkit.ConfigError, match=r'pip install "contextkit\[mcp\]"'),
    ):
        mcp_server(mcp_tools(cm.thread("t")))
