"""Every command: its result, pure JSON, refusals with one line and exit code 2."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

import contextkit
from tests.cli.conftest import HOSTILE, Run


def test_version_and_help(run: Run) -> None:
    assert run("version").stdout.strip() == contextkit.__version__
    assert run("--version").stdout.strip() == contextkit.__version__
    text = run("--help").stdout
    for name in ("demo", "chat", "run", "inspect", "schema", "plugins", "verify"):
        assert name in text
        assert run(name, "--help").exit_code == 0


def test_help_imports_little() -> None:
    code = (
        "import sys; from contextkit.cli.commands import app\n"
        "try: app(['--help'], prog_name='contextkit')\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('pydantic', 'rich', 'torch', 'sqlalchemy') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_schema(run: Run, tmp_path: Path) -> None:
    assert json.loads(run("schema").stdout)["properties"]["policies"]["type"] == "array"
    assert run("schema", "--json").stdout == run("schema").stdout
    assert run("schema", "--out", "schema.json").exit_code == 0
    assert json.loads((tmp_path / "schema.json").read_text())["properties"]["policies"]
    refused = run("schema", "--out", "missing/schema.json")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)


def test_plugins(run: Run) -> None:
    rows = json.loads(run("plugins", "--json").stdout)
    found = {(row["group"], row["kind"]): row for row in rows}
    assert found["policies", "sliding_window"]["stage"] == "shrink"
    assert found["stores", "memory"]["origin"].startswith("contextkit ")
    assert "sliding_window" in run("plugins").stdout


def test_without_configuration_the_default_is_said_aloud(run: Run, conversation: Path) -> None:
    done = run("run", str(conversation), "--json")
    assert "echo backend and a history in memory" in done.stderr
    assert json.loads(done.stdout)["ledger"]["thread"] == "talk"


def test_agent_yaml_is_found(run: Run, stored: Path, conversation: Path) -> None:
    done = run("run", str(conversation), "--json")
    assert (done.exit_code, done.stderr.count("echo backend")) == (0, 0)
    assert json.loads(done.stdout)["ledger"]["window"] == 400


def test_run_shows_the_call_before_the_last_answer(run: Run, conversation: Path) -> None:
    said = json.loads(run("run", str(conversation), "--json").stdout)["messages"]
    assert said[-1]["content"] == "Thanks. When?"
    asked = run("run", str(conversation), "--input", "-", "--json", stdin="And the seat?")
    assert json.loads(asked.stdout)["messages"][-1]["content"] == "And the seat?"


def test_run_waits_for_the_vectors_that_its_only_call_wants(run: Run, tmp_path: Path) -> None:
    said = [{"role": "user", "content": f"word{n} and thing{n}"} for n in range(300)]
    (tmp_path / "long.json").write_text(json.dumps({"messages": said}), encoding="utf-8")
    (tmp_path / "agent.yaml").write_text(
        "policies: [retrieve, sliding_window]\nembedder: hashing\n"
        "budget: {window: 900, reply_reserve: 100}\n",
        encoding="utf-8",
    )
    done = run("run", "long.json", "--input", "What of thing7?", "--json")
    ledger = json.loads(done.stdout)["ledger"]
    assert not [note for note in ledger["notes"] if note.startswith("recall: ")]
    assert any("meaning" in decision["why"] for decision in ledger["decisions"])


def test_run_responds(run: Run, conversation: Path) -> None:
    done = run("run", str(conversation), "--input", "Say hi", "--respond", "--json")
    value = json.loads(done.stdout)
    assert value["reply"] == "Say hi"
    assert value["ledger"]["usage"]["input_tokens"] > 0
    assert "Say hi" in run("run", str(conversation), "--input", "Say hi", "--respond").stdout


def test_run_replays_every_turn(run: Run, conversation: Path) -> None:
    value = json.loads(run("run", str(conversation), "--replay-turns", "--json").stdout)
    assert [turn["turn"] for turn in value["turns"]] == [1, 2, 3]
    assert value["totals"]["calls"] == 3
    assert "3 calls" in run("run", str(conversation), "--replay-turns").stdout


def test_run_reads_every_shape(run: Run, tmp_path: Path, conversation: Path) -> None:
    whole = json.loads(conversation.read_text())
    messages = whole["messages"]
    shapes = {
        "list.json": json.dumps(messages),
        "lines.jsonl": "\n".join(json.dumps(m) for m in messages),
        "many.jsonl": "\n".join(json.dumps(v) for v in ({"messages": messages[:2]}, whole)),
    }
    for name, text in shapes.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        (tmp_path / name).write_text(text)
        index = ("--index", "1") if name.startswith("many") else ()
        for file in (name, f"{name}.gz"):
            value = json.loads(run("run", file, "--json", *index).stdout)
            assert len(value["messages"]) == 6, file


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{not json", "line 1, column 2"),
        (b'{"a": 1}', "is no conversation"),
        (b"[]", "holds no messages"),
        (b'[{"role": "nobody", "content": "x"}]', "messages.0"),
        (b"\x1f\x8bcut", "gzip"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"messages": []}\n{broken', "line 2"),
    ],
)
def test_run_refuses_what_is_no_conversation(
    run: Run, tmp_path: Path, content: bytes, part: str
) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    done = run("run", "bad.json")
    assert done.exit_code == 2
    assert part in done.stderr
    assert [line.startswith("contextkit: ") for line in done.stderr.splitlines()].count(True) == 1
    assert "Traceback" not in done.output


def test_run_refuses_a_missing_file_and_index(run: Run, conversation: Path) -> None:
    assert "cannot be read" in run("run", "nowhere.json").stderr
    assert "conversations 0..0" in run("run", str(conversation), "--index", "3").stderr


def test_configuration_faults_are_one_line(run: Run, tmp_path: Path, conversation: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("policies:\n  - {kind: sliding_windw}\n")
    done = run("run", str(conversation), "--config", str(bad))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "Did you mean 'sliding_window'?" in done.stderr
    assert run("verify", "--config", "nowhere.yaml").exit_code == 2
    assert run("--debug", "verify", "--config", "nowhere.yaml").exception is not None


def test_what_does_not_fit_is_named(run: Run, tmp_path: Path, stored: Path) -> None:
    (tmp_path / "long.json").write_text(json.dumps([{"role": "user", "content": "word " * 900}]))
    done = run("run", "long.json", "--config", str(stored))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "m0" in done.stderr


def test_inspect(run: Run, stored: Path, conversation: Path) -> None:
    assert run("run", str(conversation), "--replay-turns", "--keep").exit_code == 0
    assert "talk" in run("inspect", "--list").stdout
    whole = json.loads(run("inspect", "talk", "--json").stdout)
    assert [turn["turn"] for turn in whole["turns"]] == [1, 2, 3]
    one = json.loads(run("inspect", "talk", "--turn", "2", "--json").stdout)
    assert sum(part["tokens"] for part in one["slices"]) == one["window"] == 400
    assert "3 calls" in run("inspect", "talk").stdout
    assert "prefix:" in run("inspect", "talk", "--turn", "3").stdout
    assert run("inspect", "--turn", "2", "--json").stdout == json.dumps(one, indent=2) + "\n", (
        "the only thread need not be named"
    )
    assert "m1" in run("inspect", "talk", "--explain", "m1").stdout
    found = json.loads(run("inspect", "talk", "--expand", "m1", "--json").stdout)
    assert HOSTILE in found["messages"][0]["parts"][0]["text"]


@pytest.mark.parametrize(
    "arguments",
    [("nobody",), ("talk", "--turn", "9"), ("talk", "--expand", "m99"), ("talk", "--explain", "q")],
)
def test_inspect_refuses(
    run: Run, stored: Path, conversation: Path, arguments: tuple[str, ...]
) -> None:
    run("run", str(conversation), "--replay-turns", "--keep")
    done = run("inspect", *arguments)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "nobody" not in run("inspect", "--list").stdout


def test_a_thread_belongs_to_its_tenant(run: Run, stored: Path, conversation: Path) -> None:
    run("run", str(conversation), "--replay-turns", "--keep")
    assert run("inspect", "talk", "--tenant", "other").exit_code == 2


def test_verify(run: Run, stored: Path, conversation: Path, tmp_path: Path) -> None:
    run("run", str(conversation), "--replay-turns", "--keep")
    done = run("verify", "--config", str(stored))
    assert (done.exit_code, done.stdout) == (0, "1 thread checked: nothing is wrong\n")
    _tamper(tmp_path / "history.db")
    done = run("verify", "--config", str(stored), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"]
    assert run("verify", "--config", str(stored)).exit_code == 1


def _tamper(path: Path) -> None:
    """Change what one stored message says, behind the store's back."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        tables = [
            r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for column in columns:
                if column in ("message", "body", "content", "canonical"):
                    connection.execute(
                        f"UPDATE {table} SET {column} = replace({column}, 'At 9:40.', 'At 9:41.')"
                    )
    connection.close()


def test_chat_from_a_pipe(run: Run, stored: Path) -> None:
    done = run(
        "chat", "--thread", "t", stdin="hello\n\n/ledger\n/turns\n/expand m0\n/help\n/quit\nlost\n"
    )
    assert done.exit_code == 0
    assert done.stdout.startswith("hello\n")
    assert "turn 1" in done.stdout
    assert "/expand m12" in done.stdout
    assert "lost" not in done.stdout
    assert json.loads(run("inspect", "t", "--json").stdout)["totals"]["calls"] == 1


def test_chat_goes_on_after_an_error_and_says_so_in_the_end(run: Run) -> None:
    done = run("chat", stdin="/ledger\n/expand m9\n/nonsense\nstill here\n")
    assert done.exit_code == 2
    assert "still here" in done.stdout
    assert "names nothing" in done.stderr
    assert "/nonsense" in done.stdout


def test_text_from_strangers_stays_text(run: Run, stored: Path) -> None:
    done = run("chat", stdin=f"{HOSTILE}\n/ledger\n/expand m0\n")
    assert "\x1b" not in done.stdout
    assert "[bold]loud[/bold]" in done.stdout
    assert "<script>" in done.stdout
