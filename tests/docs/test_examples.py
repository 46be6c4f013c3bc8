"""The examples run as they are, offline, and say what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import contextkit
from contextkit import Policy
from tests.adapters.test_examples import NEEDS
from tests.docs.blocks import ROOT, blocks
from tests.fakes.provider import FakeProvider

KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "MODEL")


def run(name: str, folder: Path, **variables: str) -> str:
    """What an example prints, in an empty folder, with every warning an error."""
    environment = {k: v for k, v in os.environ.items() if k not in KEYS} | variables
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_every_example_has_a_test() -> None:
    here = Path(__file__).read_text("utf-8")
    for path in (ROOT / "examples").iterdir():
        known = path.name.startswith("_") or f'"{path.name}"' in here or path.stem in NEEDS
        assert known, f"{path.name} has no test"


def test_wrap_openai(tmp_path: Path) -> None:
    out = run("wrap_openai.py", tmp_path)
    assert out.count("tokens sent, cost 0.0") == 3
    assert "You said: And Porto?" in out
    assert not list(tmp_path.iterdir())


def test_wrap_openai_asks_a_server(tmp_path: Path, provider: FakeProvider) -> None:
    out = run("wrap_openai.py", tmp_path, OPENAI_BASE_URL=provider.openai_url, MODEL="gpt-4.1")
    assert "You said: And Porto?" in out
    assert [len(seen.body["messages"]) for seen in provider.seen] == [2, 4, 6]
    assert not provider.refused


def test_the_wrapped_client_of_the_readme(
    tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.yaml").write_text("backend: {kind: openai, model: gpt-4.1}")
    block = next(b for b in blocks("README.md", "python") if "OpenAI(" in b.text)
    said = [{"role": "user", "content": "Which gate?"}]
    function = {"name": "look_up", "description": "Looks up", "parameters": {"type": "object"}}
    look_up = {"type": "function", "function": function}
    names: dict[str, Any] = {"history": said, "tools": [look_up]}
    code, last = block.text.rsplit("\n", 2)[0], block.text.rsplit("\n", 2)[1]
    exec(compile(f"{code}\nanswer = {last}", str(block), "exec"), names)  # noqa: S102
    names["client"].close()
    assert names["answer"].choices[0].message.content == "You said: Which gate?"
    assert provider.seen[0].body["messages"] == said


def test_agent_loop(tmp_path: Path) -> None:
    out = run("agent_loop.py", tmp_path)
    assert re.search(r"^m3 +replace +history +241 +48 +tool_results ", out, re.MULTILINE)
    assert "thread.expand('m3') gives the original back" in out
    assert "of 896; 128 kept for the reply" in out


def test_custom_policy(tmp_path: Path) -> None:
    out = run("custom_policy.py", tmp_path)
    said, _, table = out.partition("\n\npiece")
    assert said == "[user] [basket] tea, honey, mint\n\n[user] What is in my basket?"
    assert "newest_only" in table


def test_agent_yaml(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "agent.yaml").read_text("utf-8")
    local = text.replace("sqlite:///", f"sqlite:///{tmp_path}/")
    with contextkit.load(local) as cm:
        kinds = [policy.kind for policy in cm.policies if isinstance(policy, Policy)]
        assert kinds == [
            "tool_results",
            "read_once",
            "sliding_window",
            "left_out_note",
            "cacheable_prefix",
        ]
        assert cm.thread("t").respond("hello").text == "hello"
    assert (tmp_path / "contextkit.db").exists()


PRESETS = ("short.yaml", "medium.yaml", "long.yaml", "streaming.yaml", "research.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    with contextkit.load(ROOT / "examples" / name) as cm:
        thread = cm.thread("t")
        assert thread.respond("hello").text == "hello"
        assert thread.turns()[0].limit_tokens == cm.window - cm.reply_reserve
        assert "cacheable_prefix" in [policy.kind for policy in cm.policies]
