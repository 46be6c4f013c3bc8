"""The vector index beside a history: written, found again, checked, made again; nothing is ever lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

import contextkit
from contextkit.embedders.hashing import HashingEmbedder
from contextkit.embedding import Embedder, embed
from contextkit.errors import ConfigError, VectorsMismatch
from contextkit.manager import ContextManager
from contextkit.plugins import register
from contextkit.recall.memory import Memory
from contextkit.store import HistoryStore
from contextkit.stores.memory import MemoryHistory
from contextkit.thread import Thread
from contextkit.vector_index import VectorIndex
from contextkit.vectors import VectorRow, VectorSpace, VectorStore
from tests.stores.making import grow, opened

EMBEDDER = HashingEmbedder(dimension=64)


class Counted(BaseModel):
    """Hashing that tells how many texts it was asked for."""

    model_config = ConfigDict(frozen=True)
    kind: ClassVar[str] = "counted"
    name: str = "counted"
    dimension: int = 64
    _asked: list[str] = PrivateAttr(default_factory=list[str])

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        self._asked.extend(texts)
        return EMBEDDER.embed(texts)


register("embedders", Counted)


def index_of(history: HistoryStore, vectors: VectorStore, embedder: Embedder) -> VectorIndex:
    return VectorIndex(history, vectors, embedder, lambda record: Memory(history, record, embedder))


def sync(index: VectorIndex, name: str, tenant: str = "acme", **limit: int) -> int:
    thread = opened(index.history, name, tenant)
    ids, vectors, n_final = Memory(index.history, thread, index.embedder).row_vectors()
    return index.sync(thread, ids, vectors, n_final=n_final, **limit)


def test_threads_are_found_in_their_own_rows(vectors: VectorStore) -> None:
    history = MemoryHistory()
    index = index_of(history, vectors, EMBEDDER)
    for name in ("one", "two"):
        grow(history, opened(history, name), *(f"{name}: the gate is B {i}" for i in range(40)))
        assert sync(index, name) == 40
    thread = opened(history, "two")
    (query,) = embed(EMBEDDER, ["two: the gate is B 17"])
    hits = index.search(thread, query.tolist(), top_k=3)
    assert hits[0][0] == "m17"
    assert hits[0][1] == pytest.approx(1, abs=1e-3)
    assert vectors.count("acme") == 80
    assert list(index.check("acme")) == []
    assert index.rebuild("acme") == 80
    assert index.search(thread, query.tolist(), top_k=3) == hits


def test_only_what_is_missing_is_written_and_as_much_as_allowed(vectors: VectorStore) -> None:
    history = MemoryHistory()
    thread = opened(history)
    grow(history, thread, *(f"text {i}" for i in range(30)), "🛫", "  ")
    index = index_of(history, vectors, EMBEDDER)
    assert [sync(index, "t", limit=12) for _ in range(4)] == [12, 24, 31, 31]
    assert vectors.count("acme") == 30
    vectors.delete("acme", [f"{thread.id}/m4", f"{thread.id}/m5"])
    assert sync(index_of(history, vectors, EMBEDDER), "t") == 31
    assert vectors.count("acme") == 30
    assert list(index.check("acme")) == []


def test_a_small_index_of_another_embedder_is_made_again(vectors: VectorStore) -> None:
    history = MemoryHistory()
    for name in ("one", "two"):
        grow(history, opened(history, name), "hello", "there")
        sync(index_of(history, vectors, HashingEmbedder(dimension=32)), name)
    index = index_of(history, vectors, EMBEDDER)
    assert [problem.what for problem in index.check("acme")] == [
        "the index is of hashing-32-v1 (32 dimensions), configured is hashing-64-v1 (64 dimensions); "
        "run `contextkit reindex`"
    ]
    sync(index, "one")
    sync(index, "two")
    assert vectors.space("acme") == VectorSpace("hashing-64-v1", 64)
    assert list(index.check("acme")) == []


def test_a_large_index_of_another_embedder_is_only_named(
    vectors: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contextkit.vector_index.SMALL", 1)
    history = MemoryHistory()
    grow(history, opened(history), "hello", "there")
    sync(index_of(history, vectors, HashingEmbedder(dimension=32)), "t")
    index = index_of(history, vectors, EMBEDDER)
    with pytest.raises(VectorsMismatch, match=r"made by hashing-32-v1 \(32 dimensions\), those of"):
        sync(index, "t")
    index.rebuild("acme")
    assert sync(index, "t") == 2
    assert list(index.check("acme")) == []


def break_nothing(store: VectorStore, prefix: str) -> None:
    """The index as it should be."""


def lose_rows(store: VectorStore, prefix: str) -> None:
    store.delete("acme", [f"{prefix}/m{i}" for i in (3, 4)])


def add_rows(store: VectorStore, prefix: str) -> None:
    store.upsert("acme", [VectorRow(f"{prefix}/m999", [1.0] * 64)])


def turn_rows(store: VectorStore, prefix: str) -> None:
    store.upsert(
        "acme", [VectorRow(f"{prefix}/m{i}", [1.0] * 64, {"thread": 1}) for i in range(40)]
    )


def forget(store: VectorStore, prefix: str) -> None:
    store.drop("acme")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (break_nothing, []),
        (lose_rows, ["2 rows are missing (1/m3, 1/m4); run `contextkit reindex`"]),
        (add_rows, ["1 rows are of nothing (1/m999); run `contextkit reindex`"]),
        (turn_rows, ["40 of 40 sampled rows have another vector than their text (1/m0, 1/m1, 1/m10); "
                     "run `contextkit reindex`"]),
        (forget, ["there is no index for 40 rows; run `contextkit reindex`"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_reindexing_helps(
    vectors: VectorStore, break_it: Callable[[VectorStore, str], None], said: list[str]
) -> None:
    history = MemoryHistory()
    thread = opened(history)
    grow(history, thread, *(f"text number {i}" for i in range(40)))
    index = index_of(history, vectors, EMBEDDER)
    sync(index, "t")
    break_it(vectors, str(thread.id))
    assert [problem.what for problem in index.check("acme")] == said
    index.rebuild("acme")
    assert list(index.check("acme")) == []


def fill(cm: ContextManager, n_messages: int = 30) -> Thread:
    thread = cm.thread("t", tenant="acme")
    thread.append([{"role": "user", "content": f"remark {i}"} for i in range(n_messages)])
    thread.ingest("# A\n\n" + "Words of a document. " * 100)
    return thread


def test_a_manager_verifies_and_reindexes_without_embedding_again(tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    config = {
        "history": {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"},
        "vectors": {"kind": "chroma", "path": str(tmp_path / "v")},
        "embedder": "counted",
    }
    with contextkit.load(config) as cm:
        n_rows = 30 + fill(cm).documents()[0].n_chunks
        done: list[int] = []
        assert cm.reindex(advance=done.append) == n_rows == sum(done)
        assert cm.verify() == []
        assert isinstance(cm.embedder, Counted)
        assert len(cm.embedder._asked) == len(set(cm.embedder._asked)) <= n_rows
    with contextkit.load(config) as cm:
        assert cm.reindex("acme") == n_rows
        assert cm.verify("acme") == []
        assert isinstance(cm.embedder, Counted)
        assert cm.embedder._asked == []
        thread = cm.thread("t", tenant="acme")
        thread.append("said after the index was made")
        (problem,) = cm.verify()
        assert (problem.thread, problem.what) == (
            "(vectors)",
            "1 rows are missing (1/m30); run `contextkit reindex`",
        )


@pytest.mark.parametrize("config", [{}, {"vectors": "memory"}, {"embedder": "hashing"}])
def test_without_vectors_or_embedder_there_is_nothing_to_reindex(config: dict[str, str]) -> None:
    with contextkit.load(config) as cm, pytest.raises(ConfigError, match="an index needs both"):
        cm.reindex()


def test_several_threads_sync_at_once(vectors: VectorStore) -> None:
    history = MemoryHistory()
    index = index_of(history, vectors, EMBEDDER)
    for name in "abcdef":
        grow(history, opened(history, name), *(f"{name} said number {i}" for i in range(20)))
    workers = [threading.Thread(target=sync, args=(index, name)) for name in "abcdef" * 2]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert vectors.count("acme") == 120
    assert list(index.check("acme")) == []
