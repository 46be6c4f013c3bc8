"""Subjects by name, on the command line and in pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import contextkit
from contextkit.cli.commands import app
from contextkit.testing import SHAPES, conform, find_subject
from contextkit.testing.peers import peers

Run = Callable[..., Result]

MODULE = '''
"""Trimmers of a user's own."""


def whole(messages, budget_tokens, count):
    return messages


def newest(messages, budget_tokens, count):
    return messages[-1:]


class Memory:
    @staticmethod
    def trim(messages, budget_tokens, count):
        return messages


number = 3
'''


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in a folder with `my_trimmers.py`."""
    (tmp_path / "my_trimmers.py").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delitem(sys.modules, "my_trimmers", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["conform", *arguments])


def test_a_subject_that_holds_ends_with_zero(run: Run) -> None:
    done = run("my_trimmers:whole", "--budget", "100000", "--cases", "20")
    assert done.exit_code == 0, done.output
    assert "20 transcripts" in done.output
    assert "holds" in done.output


def test_a_subject_that_breaks_a_law_ends_with_one(run: Run) -> None:
    done = run("my_trimmers:newest", "--cases", "20")
    assert done.exit_code == 1
    assert "not an open call" in done.output


def test_only_the_named_laws_decide(run: Run) -> None:
    done = run("my_trimmers:newest", "--cases", "20", "--law", "order", "--law", "unmutated")
    assert done.exit_code == 0, done.output


def test_the_shape_is_the_callers(run: Run) -> None:
    done = run("my_trimmers:newest", "--cases", "10", "--shape", "tools", "--json")
    (report,) = json.loads(done.stdout)
    assert report["shape"] == "tools"
    assert report == conform("my_trimmers:newest", n_cases=10, shape=SHAPES["tools"]).to_dict()


def test_json_is_pure(run: Run) -> None:
    done = run("my_trimmers:Memory.trim", "my_trimmers:newest", "--cases", "10", "--json")
    first, second = json.loads(done.stdout)
    assert first["subject"] == "my_trimmers:Memory.trim"
    assert second["laws"]["valid"]["broken"] > 0
    assert done.exit_code == 1


@pytest.mark.parametrize("form", ["openai", "anthropic"])
def test_a_configuration_is_judged(run: Run, form: str) -> None:
    Path("agent.yaml").write_text("policies: [tool_results, sliding_window]\n", "utf-8")
    done = run("agent.yaml", "--cases", "10", "--form", form)
    assert done.exit_code == 0, done.output
    assert "contextkit agent.yaml" in done.output


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "module:function"),
        ("my_trimmers:absent", "has no 'absent'"),
        ("my_trimmers:number", "is a int, not a function"),
        ("no_such_module:trim", "cannot be imported"),
        ("peer:nobody", "there are agent-framework-budget"),
        ("missing.yaml", "cannot be read"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(run: Run, name: str, told: str) -> None:
    done = run(name, "--cases", "1")
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
    with pytest.raises(contextkit.ConfigError):
        find_subject(name)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to judge"),
        (("my_trimmers:whole", "--form", "gemini"), "there are openai, anthropic"),
        (("my_trimmers:whole", "--law", "beauty"), "there are valid"),
        (("my_trimmers:whole", "--shape", "round"), "there are mixed, tools"),
    ],
)
def test_options_that_cannot_be_are_told(run: Run, arguments: tuple[str, ...], told: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_peers_have_names_of_their_own() -> None:
    names = [peer.name for peer in peers()]
    assert len(set(names)) == len(names) >= 15


TESTS = """
from my_trimmers import newest, whole

def test_cases(conformance_cases):
    assert len(conformance_cases) == 8

def test_whole(conforms):
    assert conforms(whole, "valid", "unmutated").n_cases == 8

def test_newest(conforms):
    conforms(newest)
"""


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest with this plugin and no other."""
    plugin = ("-p", "contextkit.testing.plugin", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "--contextkit-cases", "8", *options],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_plugin_adds_a_test_for_each_law(run: Run, tmp_path: Path) -> None:
    tools = ("--contextkit-shape", "tools")
    done = pytest_in(tmp_path, "--contextkit-subject", "my_trimmers:newest", "-v", *tools)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "my_trimmers:newest::valid FAILED" in done.stdout
    assert "my_trimmers:newest::unmutated PASSED" in done.stdout
    assert "not an open call" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_fixtures_judge_and_no_test_is_added(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS, "utf-8")
    done = pytest_in(tmp_path)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "LawBroken" in done.stdout
    assert done.returncode == 1
