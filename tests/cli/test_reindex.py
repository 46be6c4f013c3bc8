"""`contextkit reindex` and what `verify` says of the index, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import contextkit
from contextkit.cli.commands import app
from contextkit.manager import ContextManager

runner = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    pytest.importorskip("chromadb")
    path = tmp_path / "agent.yaml"
    value = {
        "history": {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"},
        "vectors": {"kind": "chroma", "path": str(tmp_path / "vectors")},
        "embedder": "hashing",
    }
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    with contextkit.load(path) as cm:
        fill(cm)
    return path


def fill(cm: ContextManager) -> None:
    for tenant in ("acme", "other"):
        thread = cm.thread("t", tenant=tenant)
        thread.append([{"role": "user", "content": f"remark {i} of {tenant}"} for i in range(5)])
    cm.thread("t", tenant="acme").ingest("Words of a document.")


def test_an_index_is_made_again_and_verified(config: Path) -> None:
    before = runner.invoke(app, ["verify", "-c", str(config)])
    assert before.exit_code == 1
    assert "acme/(vectors): there is no index for 6 rows; run `contextkit reindex`" in " ".join(
        before.stdout.split()
    )
    made = runner.invoke(app, ["reindex", str(config), "--json"])
    assert json.loads(made.stdout) == {"threads": 2, "rows": 11}
    after = runner.invoke(app, ["verify", "-c", str(config)])
    assert (after.exit_code, after.stdout) == (0, "2 threads checked: nothing is wrong\n")
    one = runner.invoke(app, ["reindex", str(config), "--tenant", "other"])
    assert one.stdout == "1 thread: 5 rows in the vector index\n"
    nobody = runner.invoke(app, ["reindex", str(config), "--tenant", "nobody"])
    assert (nobody.exit_code, "nobody: has no threads" in nobody.stderr) == (2, True)


def test_without_an_index_the_command_says_what_to_configure(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("history: memory\n", encoding="utf-8")
    refused = runner.invoke(app, ["reindex", str(path)])
    assert refused.exit_code == 2
    assert "vectors, embedder: an index needs both" in refused.stderr
