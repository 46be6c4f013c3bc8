"""`contextkit check`: every fault at once with its path, or what the configuration means."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run

BAD = """
backend: {kind: echoo}
budget: {window: 300, reply_reserve: 400}
polices: []
history: {kind: sql, url: "${NOT_SET_HERE}"}
policies:
  - tool_results
  - {kind: sliding_window, nonsense: 1}
  - {kind: sliding_windw}
"""


def test_every_fault_is_reported_at_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")
    done = run("check", str(path))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    for start in (
        "backend: ",
        "budget.reply_reserve: ",
        "polices: ",
        "history.url: the environment has no NOT_SET_HERE",
        "policies.1.nonsense: there is no such field",
        "policies.2: ",
    ):
        assert [line.startswith(start) for line in lines].count(True) == 1, (start, lines)
    assert len(lines) == 6
    value = json.loads(run("check", "-c", str(path), "--json").stdout)
    assert value == {"config": str(path), "faults": lines}


def test_what_only_shows_in_the_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text, says in {
        "policies: [cacheable_prefix, tool_results]\n": "policies.1: tool_results",
        "policies: [": "bad.yaml: line 1",
        "- 1\n": "must be a mapping",
    }.items():
        path.write_text(text, encoding="utf-8")
        done = run("check", str(path))
        assert (done.exit_code, len(done.stdout.splitlines())) == (1, 1)
        assert says in done.stdout
    assert "cannot be read" in run("check", "nowhere.yaml").stdout


def test_what_a_configuration_means(run: Run, stored: Path, tmp_path: Path) -> None:
    text = run("check").stdout
    assert "window    400 tokens (budget.window), 64 for the reply: a call takes up to 336" in text
    assert "policies  1. tool_results (shrink)" in text
    assert text.index("1. tool_results") < text.index("3. cacheable_prefix")
    value = json.loads(run("check", "--json").stdout)
    assert (value["faults"], value["window"], value["window_from"]) == ([], 400, "budget")
    assert value["model"] == "claude-sonnet-4-5"
    assert not value["counts_exactly"]
    assert [policy["kind"] for policy in value["policies"]] == [
        "tool_results",
        "sliding_window",
        "cacheable_prefix",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [stored.name]


def test_settings_stand_beside_their_policy_and_no_password_is_shown(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(
        "history: {kind: sql, url: 'postgresql+psycopg://me:hidden@host/db'}\n"
        "policies: [{kind: sliding_window, low_water: 0.3}]\n",
        encoding="utf-8",
    )
    text = run("check", str(path)).stdout
    assert "1. sliding_window {low_water: 0.3} (shrink)" in text
    assert "hidden" not in text
    assert "@host/db" in text


def test_without_a_file_the_default_is_described(run: Run) -> None:
    done = run("check")
    assert (done.exit_code, "128,000 tokens (the backend's own)" in done.stdout) == (0, True)
    assert "echo backend" in done.stderr


def test_an_assumed_window_is_called_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "unknown.yaml"
    path.write_text("backend: {kind: scripted, replies: [x], context_window: null}\n", "utf-8")
    assert "8,192 tokens (assumed: neither budget.window nor" in run("check", str(path)).stdout


def test_one_configuration_is_enough(run: Run, stored: Path) -> None:
    for command in ("check", "reindex"):
        done = run(command, str(stored), "-c", str(stored))
        assert (done.exit_code, "given twice" in done.stderr) == (2, True)
    assert "an index needs both" in run("reindex", "-c", str(stored)).stderr
