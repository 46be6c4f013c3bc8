"""What the tests of the command line share: a runner in an empty folder, conversations, a store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from contextkit.cli.commands import app

Run = Callable[..., Result]

HOSTILE = "<script>alert(1)</script> [bold]loud[/bold] \x1b[31mred\x1b[0m"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls a command in an empty folder, on a terminal of 80 columns that is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return call


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands print is laid out as for a terminal; `plain` takes its styles away."""
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "xterm-256color", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)


def plain(text: str) -> str:
    """The text without the escapes for bold and dim."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    """A recorded conversation with a tool call, ending with an answer."""
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Help with flights."},
        {"role": "user", "content": f"Which gate? {HOSTILE}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "gate B42 " * 40},
        {"role": "assistant", "content": "B42."},
        {"role": "user", "content": "Thanks. When?"},
        {"role": "assistant", "content": "At 9:40."},
    ]
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"messages": messages}), encoding="utf-8")
    return path


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """An agent.yaml in the folder that keeps history in a file under a tight window."""
    path = tmp_path / "agent.yaml"
    path.write_text(
        "backend: {kind: echo, provider: anthropic, model: claude-sonnet-4-5}\n"
        "budget: {window: 400, reply_reserve: 64}\n"
        f"history: {{kind: sql, url: 'sqlite:///{tmp_path / 'history.db'}'}}\n"
        "policies: [tool_results, sliding_window, cacheable_prefix]\n",
        encoding="utf-8",
    )
    return path
