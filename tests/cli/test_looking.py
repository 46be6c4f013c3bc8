"""Looking changes nothing: no database is made, no thread stored; a write-protected copy will do."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contextkit.cli.commands import app
from contextkit.errors import StoreReadOnly
from contextkit.stores.sql import SqlHistory
from tests.cli.conftest import Run
from tests.stores.test_failures import NOBODY, in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

LOOKING = (
    ("inspect",),
    ("inspect", "talk"),
    ("inspect", "--all-tenants", "--json"),
    ("diff", "1", "2"),
    ("verify",),
    ("export",),
    ("forget", "talk", "--yes"),
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("arguments", [*LOOKING, ("inspect", "--web")], ids=" ".join)
def test_a_database_that_is_not_there_is_said_and_not_made(
    run: Run, stored: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "there is no database at" in done.stderr
    assert names(tmp_path) == [stored.name]


def test_run_keeps_nothing_unless_asked(
    run: Run, stored: Path, conversation: Path, tmp_path: Path
) -> None:
    before = names(tmp_path)
    for more in ((), ("--input", "And the seat?")):
        assert run("run", str(conversation), *more).exit_code == 0
    assert names(tmp_path) == before
    for number in (1, 2):
        kept = run("run", str(conversation), "--keep")
        assert kept.stderr.splitlines()[-1] == f"kept as thread 'talk{'' if number == 1 else '-2'}'"
    assert run("run", str(conversation), "--input", "Say hi", "--respond").exit_code == 0
    listed = json.loads(run("inspect", "--json").stdout)["threads"]
    assert [(row["thread"], row["turns"]) for row in listed] == [
        ("talk-3", 1),
        ("talk-2", 0),
        ("talk", 0),
    ]


def test_keep_needs_a_store(run: Run, conversation: Path) -> None:
    done = run("run", str(conversation), "--keep")
    assert done.exit_code == 2
    assert "{kind: sql} does" in done.stderr


def test_an_index_is_neither_made_nor_filled(
    run: Run, stored: Path, conversation: Path, tmp_path: Path
) -> None:
    pytest.importorskip("chromadb")
    assert run("run", str(conversation), "--keep").exit_code == 0
    before = names(tmp_path)
    with stored.open("a", encoding="utf-8") as file:
        file.write("vectors: {kind: chroma, path: vectors}\nembedder: hashing\n")
    assert run("run", str(conversation)).exit_code == 0
    done = run("verify")
    assert (done.exit_code, "(vectors): there is no index for" in done.stdout) == (1, True)
    assert names(tmp_path) == before


def test_looking_leaves_no_file_and_not_a_byte(
    run: Run, stored: Path, conversation: Path, tmp_path: Path
) -> None:
    run("run", str(conversation), "--replay-turns", "--keep")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments in LOOKING[:-1]:
        assert run(*arguments).exit_code == 0, arguments
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_counter_does_not_count_a_thread_anew(
    run: Run, stored: Path, conversation: Path, tmp_path: Path
) -> None:
    run("run", str(conversation), "--replay-turns", "--keep")
    before = (tmp_path / "history.db").read_bytes()
    text = stored.read_text(encoding="utf-8")
    stored.write_text(text.replace("anthropic", "openai").replace("claude-sonnet-4-5", "gpt-4o"))
    for arguments in (
        ("inspect", "talk"),
        ("inspect", "talk", "--expand", "m3"),
        ("diff", "1", "2"),
    ):
        assert run(*arguments).exit_code == 0, arguments
    assert (tmp_path / "history.db").read_bytes() == before


@pytest.fixture
def copy(run: Run, stored: Path, conversation: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder that anybody may read, with a backup copy of a history in it and its agent.yaml."""
    assert run("run", str(conversation), "--replay-turns", "--keep").exit_code == 0
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    shutil.copy(tmp_path / "history.db", folder)
    (folder / "agent.yaml").write_text("history: {kind: sql, url: 'sqlite:///history.db'}\n")
    for path in (folder / "history.db", folder / "agent.yaml"):
        path.chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def test_a_copy_without_write_permission_is_read(copy: Path) -> None:
    def act() -> None:
        os.chdir(copy)
        for arguments in LOOKING[:-1]:
            with pytest.raises(SystemExit) as left:
                app(list(arguments), prog_name="contextkit")
            assert left.value.code == 0, arguments
        reader = SqlHistory(url="sqlite:///history.db").for_reading()
        with pytest.raises(StoreReadOnly):
            reader.open_thread("default", "new", counter="c")
        reader.close()

    in_child(act, user=NOBODY)
    assert names(copy) == ["agent.yaml", "history.db"]
