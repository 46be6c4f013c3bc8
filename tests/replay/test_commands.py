"""`contextkit replay` and `contextkit tune` as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contextkit.cli.commands import app

from .making import conversation

Run = Callable[..., Result]
TIGHT = (
    "budget: {window: 2500, reply_reserve: 100}\n"
    "policies: [tool_results, sliding_window, cacheable_prefix]\n"
)
BARE = "- {kind: sliding_window, low_water: 0.5}\n- cacheable_prefix\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rows = [{"id": f"run-{n}", "messages": conversation(n, n_calls=12)} for n in range(4)]
    Path("runs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    Path("a.yaml").write_text(TIGHT)
    Path("b.yaml").write_text(BARE)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return call


def test_replay_shows_configurations_side_by_side(run: Run) -> None:
    result = run("replay", "runs.jsonl", "--policy", "a.yaml", "b.yaml")
    assert result.exit_code == 0, result.output
    for word in ("everything, cached", "grounded", "100.0%", "4 recordings, 48 calls"):
        assert word in result.output
    rows = [line.split()[0] for line in result.stdout.splitlines()[1:4]]
    assert rows == ["everything,", "a", "b"] or rows[0] == "everything"


def test_replay_as_json_with_every_call(run: Run) -> None:
    result = run("replay", "runs.jsonl", "-p", "a.yaml", "--window", "3000", "--json", "--calls",
                 "--provider", "openai:gpt-5.1", "--limit", "2", "--no-baseline")  # fmt: skip
    value = json.loads(result.stdout)
    (row,) = value["setups"]
    assert (row["setup"], row["runs"], row["calls"], row["window"]) == ("a", 2, 24, 3000)
    assert [len(r["turns"]) for r in row["recordings"]] == [12, 12]
    assert (
        sum(t["input_tokens"] for r in row["recordings"] for t in r["turns"]) == row["input_tokens"]
    )
    assert value["provider"] == "openai"


def test_replay_writes_a_report(run: Run) -> None:
    result = run("replay", "runs.jsonl", "-p", "a.yaml", "--html", "out.html")
    assert result.exit_code == 0
    assert Path("out.html").read_text().startswith("<!doctype html>")


def test_replay_bridges_pauses_where_that_is_asked_for(run: Run) -> None:
    Path("short.yaml").write_text("- {kind: cacheable_prefix, ttl: 5m}\n")
    said = conversation(1, n_calls=24)
    for n, message in enumerate(said):
        message["timestamp"] = 10.0 * n + 480.0 * (n // 8)
    Path("paused.jsonl").write_text(json.dumps({"id": "r", "messages": said}))
    plain, kept = (
        run("replay", "paused.jsonl", "-p", "short.yaml", "--no-baseline", *more).stdout
        for more in ([], ["--keep-warm"])
    )
    heads, row, *_ = kept.splitlines()
    assert heads.split()[-1] == "warm"
    assert int(row.split()[-1]) > 0
    assert "warm" not in plain.splitlines()[0]
    assert float(row.split()[1]) < float(plain.splitlines()[1].split()[1])


def test_a_row_is_a_line_where_nothing_is_wrapped(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("replay", "runs.jsonl", "-p", "a.yaml").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == [
        "configuration",
        "everything, cached",
        "a",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "a.yaml"], "no recordings"),
        (["replay", "none.jsonl"], "cannot be read"),
        (["replay", "runs.jsonl", "--provider", "anthropic:claude-sonet-4-5"], "did you mean"),
        (["replay", "runs.jsonl", "-p", "none.yaml"], "none.yaml: cannot be read"),
        (["replay", "runs.jsonl", "--tokenizer", "bert"], "no tokenizer 'bert'"),
        (["tune", "runs.jsonl", "a.yaml", "b.yaml"], "one configuration"),
        # What cannot be written is told before anything is read.
        (["tune", "none.jsonl", "-o", "none/found.yaml"], "there is no folder none"),
        (["replay", "none.jsonl", "--html", "."], "it is a folder"),
    ],
)
def test_mistakes_end_with_one_line(run: Run, arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_cut_log_is_said_and_used(run: Run) -> None:
    whole = Path("runs.jsonl").read_text()
    Path("cut.jsonl").write_text(whole[:-500])
    result = run("replay", "cut.jsonl", "--json")
    assert result.exit_code == 0
    assert "is cut" in result.stderr
    assert json.loads(result.stdout)["setups"][0]["runs"] == 3


def test_tune_writes_what_it_found_and_goes_on(run: Run) -> None:
    arguments = ["tune", "runs.jsonl", "--start", "a.yaml", "--grounded", "0.5", "--trials", "12",
                 "--state", "state.jsonl", "-o", "found.yaml"]  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "before, held out" in result.output
    assert "wrote found.yaml" in result.output
    kept = Path("state.jsonl").read_text()
    again = json.loads(run(*arguments, "--json").stdout)
    assert Path("state.jsonl").read_text() == kept
    assert again["settings"]["after"]["cost"] <= again["settings"]["before"]["cost"]
    row = json.loads(run("replay", "runs.jsonl", "-p", "found.yaml", "--json").stdout)["setups"][1]
    assert row["window"] == 2500
