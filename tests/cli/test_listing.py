"""`inspect` without a thread: the newest first, not all of thousands, and who else has any."""

from __future__ import annotations

import json
from pathlib import Path

import contextkit
from tests.cli.conftest import Run


def fill(stored: Path, tenant: str, n_threads: int) -> None:
    with contextkit.load(stored) as cm:
        for number in range(n_threads):
            cm.thread(f"t{number:03}", tenant=tenant).append(f"question  {number}\nof {tenant}")


def test_the_newest_come_first_and_the_rest_is_counted(run: Run, stored: Path) -> None:
    fill(stored, "default", 53)
    with contextkit.load(stored) as cm:
        cm.thread("t052").respond("and then?")
    lines = run("inspect").stdout.splitlines()
    assert len(lines) == 52
    assert lines[0].split() == ["thread", "messages", "turns", "last", "turn", "first", "words"]
    assert lines[1].split()[:3] == ["t052", "3", "1"]
    assert lines[1].endswith("question 52 of default")
    assert lines[2].split() == ["t051", "1", "0", "-", "question", "51", "of", "default"]
    assert lines[-1] == "... and 3 older threads; --limit 0 lists all"
    assert len(run("inspect", "--limit", "2").stdout.splitlines()) == 4
    assert len(run("inspect", "--limit", "0").stdout.splitlines()) == 54
    value = json.loads(run("inspect", "--json").stdout)
    assert (len(value["threads"]), value["n_threads"]) == (53, 53)
    assert value["threads"][1] == {
        "tenant": "default",
        "thread": "t051",
        "entries": 1,
        "turns": 0,
        "last_turn_at": None,
        "first_words": "question 51 of default",
    }
    assert len(json.loads(run("inspect", "--json", "--limit", "2").stdout)["threads"]) == 2


def test_other_tenants_are_named_where_one_has_none(run: Run, stored: Path) -> None:
    fill(stored, "key-ab", 3)
    fill(stored, "key-cd", 1)
    said = run("inspect").stdout.splitlines()
    assert said == [
        "tenant 'default' has no threads; others have:",
        "  key-ab  3 threads",
        "  key-cd  1 thread",
        "--tenant NAME lists one of them, --all-tenants all",
    ]
    value = json.loads(run("inspect", "--json").stdout)
    assert value["other_tenants"] == {"key-ab": 3, "key-cd": 1}
    everyone = run("inspect", "--all-tenants").stdout.splitlines()
    assert everyone[1].split()[:2] == ["key-cd", "t000"]
    assert len(everyone) == 5
    refused = run("inspect", "t002")
    assert refused.exit_code == 2
    assert "tenant 'key-ab' has one: --tenant key-ab" in refused.stderr
    assert "tenant 'key-ab' has one (as 1 other tenant)" in run("inspect", "t000").stderr
    assert run("inspect", "t002", "--all-tenants").exit_code == 2


def test_nothing_at_all_is_explained(run: Run, stored: Path) -> None:
    assert "ends with each process" in run("inspect", "-c", str(_in_memory(stored))).stdout
    refused = run("inspect", "talk", "-c", str(_in_memory(stored)))
    assert "{kind: sql} is kept" in refused.stderr
    with contextkit.load(stored) as cm:
        assert cm.threads() == []
    assert run("inspect").stdout == "tenant 'default' has no threads\n"
    assert run("inspect", "--all-tenants").stdout == "no tenant has threads\n"
    asked = run("inspect", "--turn", "1")
    assert (asked.exit_code, "which thread?" in asked.stderr) == (2, True)


def _in_memory(stored: Path) -> Path:
    path = stored.with_name("memory.yaml")
    path.write_text("history: memory\n", encoding="utf-8")
    return path
