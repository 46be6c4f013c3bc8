"""`export`, `import` and `forget`: what goes out comes in again, nothing is overwritten or half stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import contextkit
from contextkit.messages import text_message
from tests.cli.conftest import HOSTILE, Run

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
SAID: list[dict[str, Any]] = [
    {"role": "system", "content": "Help."},
    {"role": "user", "content": f"Which gate? {HOSTILE}", "name": "kim"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "gate B42"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]},
]


@pytest.fixture
def digests(stored: Path) -> dict[tuple[str, str], list[bytes]]:
    """Three threads of two tenants, one longer than a page, by the digests of their messages."""
    with contextkit.load(stored) as cm:
        cm.thread("a").append(SAID)
        cm.thread("b").append([text_message("user", f"remark {number}") for number in range(300)])
        cm.thread("a", tenant="acme").append("of acme")
        return _digests(cm)


def _digests(cm: contextkit.ContextManager) -> dict[tuple[str, str], list[bytes]]:
    return {
        (record.tenant, record.name): [
            m.digest for m in cm.thread(record.name, tenant=record.tenant).history()
        ]
        for record in cm.threads(None)
    }


def _messages(lines: str) -> str:
    """The messages alone, as earlier versions of contextkit wrote them."""
    kept = (line for line in lines.splitlines(keepends=True) if '"role"' in line)
    return "".join(kept)


def other(stored: Path) -> Path:
    path = stored.with_name("other.yaml")
    path.write_text(stored.read_text("utf-8").replace("history.db", "other.db"), encoding="utf-8")
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_store_is_carried_over(
    run: Run, stored: Path, digests: dict[tuple[str, str], list[bytes]], packed: bool
) -> None:
    done = run("export", "--all-tenants", "-o", "all.jsonl")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "exported 306 messages of 3 threads\n"
    file = stored.with_name("all.jsonl")
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    config = other(stored)
    done = run("import", "all.jsonl", "-c", str(config), "--json")
    assert sum(row["entries"] for row in json.loads(done.stdout)["threads"]) == 306
    with contextkit.load(config) as cm:
        assert _digests(cm) == digests
        assert cm.verify() == []


def test_one_thread_through_a_pipe_under_another_name(
    run: Run, stored: Path, digests: dict[tuple[str, str], list[bytes]]
) -> None:
    lines = run("export", "a").stdout
    assert [json.loads(line).get("role") for line in lines.splitlines()[2:]] == [
        m["role"] for m in SAID
    ]
    done = run("import", "-", "--thread", "c", "--tenant", "acme", stdin=lines)
    assert done.stdout == "imported 5 messages into 1 thread\n"
    with contextkit.load(stored) as cm:
        assert _digests(cm)["acme", "c"] == digests["default", "a"]
    plain = "".join(
        json.dumps({"role": "user", "parts": [{"kind": "text", "text": text}]}) + "\n\n"
        for text in ("one", "two")
    )
    assert run("import", "-", stdin=plain).exit_code == 0
    assert json.loads(run("inspect", "stdin", "--expand", "m1", "--json").stdout)["messages"]


def test_nothing_is_overwritten_or_half_stored(
    run: Run, stored: Path, digests: dict[tuple[str, str], list[bytes]]
) -> None:
    lines = _messages(run("export", "a").stdout)
    more = lines + lines.splitlines()[0]
    assert "has a thread 'a'" in run("import", "-", stdin=more).stderr
    answer = lines.splitlines()[3].replace('"thread": "a"', '"thread": "new"')
    assert "c1" in run("import", "-", stdin=answer).stderr
    for text, says in {
        "": "holds no messages",
        "{": "line 1, column 2",
        f"{lines}[]": "line 6: is no message",
        '{"role": "user"}': "is no message",
        '{"role": "nobody", "parts": []}': "is no message",
        '{"role": "user", "parts": [{"kind": "novel"}]}': "is no message",
    }.items():
        refused = run("import", "-", "--thread", "new", stdin=text)
        assert (refused.exit_code, says in refused.stderr) == (2, True), (text, refused.stderr)
    two = lines + _messages(run("export", "b").stdout)
    assert "holds 2 threads" in run("import", "-", "--thread", "new", stdin=two).stderr
    with contextkit.load(stored) as cm:
        assert _digests(cm) == digests


def test_what_cannot_be_carried_is_said(run: Run, stored: Path) -> None:
    with contextkit.load(stored) as cm:
        cm.thread("a").append("one")
    assert "has no thread 'x'" in run("export", "x").stderr
    assert "leave the name out" in run("export", "a", "--all-tenants").stderr
    assert "no thread to export" in run("export", "--tenant", "acme").stderr
    assert "cannot be written" in run("export", "-o", "missing/x.jsonl").stderr
    assert json.loads(run("export", "--json").stderr) == {"threads": 1, "messages": 1}
    memory = stored.with_name("memory.yaml")
    memory.write_text("history: memory\n", encoding="utf-8")
    line = '{"role": "user", "parts": []}'
    assert "keeps nothing" in run("import", "-", "-c", str(memory), stdin=line).stderr


def test_a_thread_is_forgotten(
    run: Run, stored: Path, digests: dict[tuple[str, str], list[bytes]]
) -> None:
    asked = run("forget", "a")
    assert (asked.exit_code, "say --yes" in asked.stderr) == (2, True)
    assert "has no thread 'x'" in run("forget", "x", "--yes").stderr
    assert run("forget", "b", "--yes").stdout == "thread 'b' is forgotten: 300 messages removed\n"
    value = json.loads(run("forget", "a", "--tenant", "acme", "--yes", "--json").stdout)
    assert value == {"tenant": "acme", "thread": "a", "entries": 1}
    with contextkit.load(stored) as cm:
        assert list(_digests(cm)) == [("default", "a")]
        cm.thread("a").fork(2, "fork")
    shared = run("forget", "a", "--yes")
    assert (shared.exit_code, "fork" in shared.stderr) == (2, True)
    assert run("forget", "a", "--yes", "--forks").exit_code == 0
    assert json.loads(run("inspect", "--json").stdout)["threads"] == []
