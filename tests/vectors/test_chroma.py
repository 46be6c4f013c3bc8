"""Chroma in a folder: one process at a time, damage found before it is loaded, nothing lost by a kill."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contextkit.errors import ConfigError, StoreBusy, StoreCorrupt, StoreError
from contextkit.stores.chroma import ChromaVectors
from contextkit.vectors import VectorRow
from tests.stores.making import everything, opened
from tests.vectors.writer import open_index, sync

pytest.importorskip("chromadb")
ROOT = Path(__file__).parents[2]
ROWS = [VectorRow(f"m{i}", [i % 7, i % 11, i % 13, 1.0], {"thread": 1}) for i in range(1500)]


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.vectors.writer", str(folder), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kills it; the lines that it had said."""
    process.kill()
    said, _ = process.communicate(timeout=60)
    return said.split()


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = start(tmp_path, "hold")
    assert line_of(first) == "held"
    store = ChromaVectors(path=tmp_path / "vectors", busy_timeout_s=0)
    with pytest.raises(
        StoreBusy, match=r"vectors: another process has this vector index open; .* server"
    ):
        store.count("acme")
    with pytest.raises(StoreBusy):
        store.reset()
    kill(first)
    assert store.ids("acme") == ["m1"]
    store.close()


@pytest.mark.slow
def test_a_forked_child_is_another_process(tmp_path: Path) -> None:
    said, _ = start(tmp_path, "fork").communicate(timeout=120)
    assert said.split() == ["StoreBusy", "1"]


def test_stores_of_one_process_share_a_folder(tmp_path: Path) -> None:
    first, second = (ChromaVectors(path=tmp_path / "v") for _ in range(2))
    first.upsert("acme", [VectorRow("m1", [1, 0])])
    assert second.count("acme") == 1
    with pytest.raises(StoreError, match="another part of this process has the index open"):
        first.reset()
    second.close()
    assert first.count("acme") == 1
    first.reset()
    assert first.count("acme") == 0
    first.close()
    for use in (first.reset, lambda: first.count("acme"), lambda: first.upsert("a", ROWS[:1])):
        with pytest.raises(StoreError, match="was closed"):
            use()


def test_an_index_that_was_closed_in_peace_is_not_looked_at_again(
    chroma: ChromaVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    chroma.upsert("acme", ROWS)
    chroma.close()
    monkeypatch.setattr(sys, "executable", "/there/is/no/python")
    again = ChromaVectors(path=chroma.path)
    assert again.count("acme") == 1500
    again.close()


def remove_database(folder: Path) -> None:
    (folder / "chroma.sqlite3").unlink()


def spoil_database(folder: Path) -> None:
    (folder / "chroma.sqlite3").write_bytes(os.urandom(30_000))


def cut_database(folder: Path) -> None:
    os.truncate(folder / "chroma.sqlite3", 20_000)


def segment(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.is_dir())


def remove_segment(folder: Path) -> None:
    shutil.rmtree(segment(folder))


def spoil(name: str) -> Callable[[Path], None]:
    def spoil_file(folder: Path) -> None:
        path = segment(folder) / name
        path.write_bytes(os.urandom(path.stat().st_size))

    return spoil_file


DAMAGES = {
    "vectors": spoil("data_level0.bin"),
    "database": spoil_database,
    "cut database": cut_database,
    "segment gone": remove_segment,
    "header": spoil("header.bin"),
    "names": spoil("index_metadata.pickle"),
}
QUICK = ("vectors",)


@pytest.mark.parametrize(
    "damage", [d if d in QUICK else pytest.param(d, marks=pytest.mark.slow) for d in DAMAGES]
)
def test_damage_is_named_before_it_is_loaded_and_reset_helps(
    chroma: ChromaVectors, damage: str
) -> None:
    chroma.upsert("acme", ROWS)
    chroma.close()
    DAMAGES[damage](chroma.path)
    (chroma.path / "own notes.txt").write_text("not Chroma's")
    again = ChromaVectors(path=chroma.path)
    for _ in range(2):
        with pytest.raises(
            StoreCorrupt, match=r"the vector index is damaged \(.*\); run `contextkit reindex`"
        ):
            again.search("acme", [1, 0, 0, 0], top_k=3)
    again.reset()
    assert again.count("acme") == 0
    again.upsert("acme", ROWS)
    assert again.search("acme", ROWS[5].vector, top_k=1)[0].score == pytest.approx(1, abs=1e-5)
    assert (chroma.path / "own notes.txt").read_text() == "not Chroma's"
    again.close()


def test_an_index_that_is_gone_is_empty(chroma: ChromaVectors) -> None:
    chroma.upsert("acme", ROWS[:3])
    chroma.close()
    remove_database(chroma.path)
    again = ChromaVectors(path=chroma.path)
    assert again.space("acme") is None
    assert again.count("acme") == 0
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [25])
def test_a_killed_writer_loses_nothing(tmp_path: Path, n_kills: int) -> None:
    chance = random.Random(n_kills)
    n_missing = n_damaged = 0
    for _ in range(n_kills):
        writer = start(tmp_path, "grow")
        said = [line_of(writer)]
        time.sleep(chance.uniform(0, 1.5))
        said += kill(writer)
        index = open_index(tmp_path)
        thread = opened(index.history)
        assert len(everything(index.history, thread)) >= int(said[-1])
        try:
            n_rows = index.vectors.count("acme")
        except StoreCorrupt:
            n_damaged += 1
            index.vectors.reset()
            n_rows = 0
        n_missing += max(0, int(said[-1]) - n_rows)
        sync(index, thread)
        assert list(index.check("acme")) == []
        assert list(index.history.verify()) == []
        index.vectors.close()
        index.history.close()
    print(f"\n{n_kills} kills: {n_missing} acknowledged rows missing, {n_damaged} times damaged")


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_server_that_does_not_answer_is_named(silent_server: int) -> None:
    for port, timeout_s in ((9, 5.0), (silent_server, 0.2)):
        store = ChromaVectors(host="127.0.0.1", port=port, timeout_s=timeout_s)
        with pytest.raises(
            StoreError, match=rf"chroma at 127\.0\.0\.1:{port}: the Chroma server does not answer"
        ):
            store.count("acme")
        store.close()


def test_a_folder_that_can_not_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        store = ChromaVectors(path=path)
        with pytest.raises(StoreError, match="cannot be a vector index"):
            store.count("acme")
        store.close()
    with pytest.raises(ValueError, match="a path or a host, not both"):
        ChromaVectors(path=tmp_path, host="localhost")


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chromadb", None)
    store = ChromaVectors(path=tmp_path / "v")
    with pytest.raises(ConfigError, match=r'pip install "contextkit\[chroma\]"'):
        store.count("acme")
    store.close()
