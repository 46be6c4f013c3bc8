"""Vectors of a growing thread: little in the turn, much beside it, each text read once for all uses."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

import numpy as np
import pytest

from contextkit.background import Background
from contextkit.embedders.hashing import HashingEmbedder
from contextkit.errors import EmbeddingFailed, StoreBusy
from contextkit.manager import ContextManager, load
from contextkit.recall import embedded
from contextkit.recall.memory import Memory
from contextkit.recall.vectors import Pace
from contextkit.stores.memory_vectors import MemoryVectors
from contextkit.thread import Thread
from contextkit.vector_index import VectorIndex
from tests.recall.test_vectors import Letters

SMALL = 20


class Counted(HashingEmbedder):
    """Hashing that tells what it was asked for and fails on demand."""

    def __init__(self) -> None:
        super().__init__(dimension=64)
        object.__setattr__(self, "read", [])
        object.__setattr__(self, "how", "")

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        if self.how:  # type: ignore[attr-defined]
            raise EmbeddingFailed(self.how)  # type: ignore[attr-defined]
        if not query:
            self.read.extend(texts)  # type: ignore[attr-defined]
        return super().embed(texts, query=query)


class Lettered(Letters):
    """Letters that wait for nobody and count the passages that they read."""

    how = ""

    def states(self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> Any:
        if self.how:
            raise EmbeddingFailed(self.how)
        return super().states(texts, spans)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn stops for a few rows; a job looks up after every few."""
    monkeypatch.setattr(embedded, "AT_ONCE", SMALL)
    monkeypatch.setattr(embedded, "PAGE", 8)
    monkeypatch.setattr("contextkit.recall.vectors.PAGE", 8)
    monkeypatch.setattr("contextkit.recall.states_vectors.BATCH_BLOCKS", 2)


def talk(cm: ContextManager, n_messages: int, name: str = "t") -> Thread:
    thread = cm.thread(name)
    first = len(thread)
    thread.append(
        [
            {"role": "user", "name": "Ann", "content": f"word{n} and thing{n}"}
            for n in range(first, first + n_messages)
        ]
    )
    return thread


def memory_of(cm: ContextManager, thread: Thread, model: Any, index: Any = None) -> Memory:
    return Memory(cm.history, thread.record_, model, index, cm.background)


@pytest.mark.parametrize("make", [Counted, Lettered])
def test_a_long_thread_is_embedded_beside_the_turn(make: Any) -> None:
    with load({}) as cm:
        thread, model = talk(cm, 60), make()
        memory = memory_of(cm, thread, model)
        assert memory.search("word7")[0].handle == "m7"
        (note,) = memory.notes
        assert note == (
            "recall: found by words alone: 60 of 60 passages have no vector yet; they are made in the "
            "background"
        )
        assert cm.background.wait(20)
        read = list(model.read)
        hits = memory.search("word7")
        assert memory.notes == ()
        assert "meaning" in hits[0].why
        assert model.read[: len(read)] == read
        assert model.read[len(read) :] in ([], ["word7"])
        whole = Memory(cm.history, thread.record_, make()).search("word7")
        assert [hit.handle for hit in whole] == [hit.handle for hit in hits]


@pytest.mark.parametrize("make", [Counted, Lettered])
def test_what_a_turn_adds_is_embedded_in_it(make: Any) -> None:
    with load({}) as cm:
        model = make()
        memory = memory_of(cm, talk(cm, SMALL), model)
        for _ in range(3):
            assert "meaning" in memory.search("word3")[0].why
            assert memory.notes == ()
            talk(cm, 5)


@pytest.mark.parametrize("make", [Counted, Lettered])
def test_what_was_stopped_goes_on_where_it_was(make: Any) -> None:
    with load({}) as cm:
        thread, model, stop = talk(cm, 61), make(), Event()
        done: list[int] = []

        def advance(n_rows: int) -> None:
            done.append(n_rows)
            stop.set()

        Memory(cm.history, thread.record_, model).catch_up(Pace(stop=stop, advance=advance))
        assert done == [8]
        first = list(model.read)
        later = make()
        memory = Memory(cm.history, thread.record_, later)
        memory.catch_up()
        assert not set(first) & set(later.read)
        again = make()
        Memory(cm.history, thread.record_, again).catch_up()
        assert again.read == []


@pytest.mark.parametrize("make", [Counted, Lettered])
def test_a_job_that_failed_is_told_and_tried_again(make: Any) -> None:
    with load({}) as cm:
        thread, model = talk(cm, 60), make()
        model.__dict__["how"] = "no answer from the model"
        memory = memory_of(cm, thread, model)
        assert memory.search("word7")[0].handle == "m7"
        assert cm.background.wait(20)
        assert memory.search("word7")[0].handle == "m7"
        assert memory.notes == ("recall: found by words alone: no answer from the model",)
        assert cm.background.wait(20)
        model.__dict__["how"] = ""
        memory.search("word7")
        assert cm.background.wait(20)
        assert "meaning" in memory.search("word7")[0].why
        assert not memory.notes


def index_of(cm: ContextManager, model: Any) -> VectorIndex:
    return VectorIndex(
        cm.history, MemoryVectors(), model, lambda record: Memory(cm.history, record, model)
    )


@pytest.mark.parametrize("make", [Counted, Lettered])
@pytest.mark.parametrize("n_messages", [7, 61])
def test_nothing_is_embedded_for_the_index_alone(make: Any, n_messages: int) -> None:
    with load({}) as plain, load({}) as cm:
        without, model = make(), make()
        Memory(plain.history, talk(plain, n_messages).record_, without).catch_up()
        thread, index = talk(cm, n_messages), index_of(cm, model)
        memory = memory_of(cm, thread, model, index)
        for _ in range(4):
            memory.search("word3")
            assert cm.background.wait(20)
        assert memory.notes == ()
        assert index.vectors.count("default") == n_messages
        assert index.rebuild("default") == n_messages
        assert list(index.check("default")) == []
        assert [text for text in model.read if text != "word3"] == without.read


def test_a_check_says_that_the_embedder_does_not_answer() -> None:
    with load({}) as cm:
        model = Counted()
        thread, index = talk(cm, 10), index_of(cm, model)
        assert index.rebuild("default") == 10
        talk(cm, 1)
        model.__dict__["how"] = "no answer from the model"
        assert [problem.what for problem in index.check("default")] == ["no answer from the model"]
        assert thread.memory.search("word7")[0].handle == "m7"


class Refusing(MemoryVectors):
    """An index that another process writes, until it does no more."""

    def upsert(self, tenant: str, rows: Any) -> None:
        self._refuse()
        super().upsert(tenant, rows)

    def count(self, tenant: str) -> int:
        self._refuse()
        return super().count(tenant)

    def _refuse(self) -> None:
        if refusals:
            raise StoreBusy(refusals.pop())


refusals: list[str] = []


def test_an_index_that_refuses_is_asked_once_in_a_turn_then_beside_it() -> None:
    with load({}) as cm:
        model = Counted()
        thread, vectors = talk(cm, 60), Refusing()
        index = VectorIndex(cm.history, vectors, model, lambda r: Memory(cm.history, r, model))
        memory = memory_of(cm, thread, model, index)
        told: list[tuple[str, ...]] = []
        memory.search("word3")  # leaves a job that succeeds
        assert cm.background.wait(20)
        talk(cm, 10)
        refusals[:] = ["3: another process writes", "2: it writes", "1: it still writes"]
        for _ in range(6):
            assert "meaning" in memory.search("word3")[0].why
            told.append(memory.notes)
            assert cm.background.wait(20)
        behind = "recall: the vector index is behind: "
        assert told[0] == (f"{behind}1: it still writes",)
        assert told[1] == (f"{behind}1: it still writes",)
        assert told[2] == (f"{behind}2: it writes",)
        assert told[3] == (f"{behind}3: another process writes",)
        assert told[4:] == [(), ()]
        assert vectors.count("default") == 70


def test_the_newest_rows_are_written_again_when_their_block_has_grown() -> None:
    with load({}) as cm:
        model = Lettered()
        thread, index = talk(cm, 6), index_of(cm, model)
        for n_more in (0, 1, 1, 3):
            if n_more:
                talk(cm, n_more)
            memory_of(cm, thread, model, index).search("word3")
            names, vectors, n_final = Memory(cm.history, thread.record_, model).row_vectors()
            ids = [f"{thread.record_.id}/{name}" for name in names]
            rows = {row.id: row.vector for row in index.vectors.get("default", ids)}
            kept = np.asarray([rows[row_id] for row_id in ids], np.float32)
            assert kept == pytest.approx(vectors, abs=2e-3)
            assert 0 <= len(ids) - n_final < 4


def test_parts_of_a_long_message_have_rows_of_their_own() -> None:
    with load({}) as cm:
        thread = cm.thread("t")
        text = "\n\n".join(f"Paragraph {n} speaks of {'nothing ' * 40}" for n in range(20))
        thread.append([{"role": "user", "content": f"{text}\n\nThe treasure is under the oak."}])
        model = Counted()
        memory, index = Memory(cm.history, thread.record_, model), index_of(cm, model)
        ids = memory.row_ids()
        assert ids[:3] == ["m0", "m0#1", "m0#2"]
        assert index.rebuild("default") == len(ids) > 3
        query = model.embed(["treasure under the oak"], query=True)[0]
        hits = index.search(thread.record_, query.tolist(), top_k=2)
        assert [handle for handle, _ in hits] == ["m0", "m0"]


def test_a_closed_background_leaves_words() -> None:
    with load({}) as cm:
        thread, closed = talk(cm, 60), Background()
        closed.close()
        memory = Memory(cm.history, thread.record_, Counted(), None, closed)
        assert memory.search("word7")[0].handle == "m7"
        assert memory.notes == (
            "recall: found by words alone: 60 of 60 passages have no vector yet; ask again later",
        )


def test_who_asks_once_waits_for_the_vectors() -> None:
    with load({"embedder": "hashing"}) as cm:
        memory = talk(cm, 60).memory
        memory.wait_for_vectors()
        assert "meaning" in memory.search("word7")[0].why
        assert memory.notes == ()


def test_the_ledger_says_that_words_alone_were_searched() -> None:
    config = {
        "budget": {"window": 900, "reply_reserve": 100},
        "policies": ["retrieve", "sliding_window"],
        "embedder": "hashing",
        "vectors": "memory",
    }
    with load(config) as cm:
        thread = talk(cm, 200)
        told = [
            note for note in thread.assemble("What of thing7?").ledger.notes if "recall" in note
        ]
        assert told == [
            "recall: found by words alone: 200 of 200 passages have no vector yet; they are made in the "
            "background"
        ]
        assert cm.background.wait(20)
        ledger = thread.assemble("What of thing7?").ledger
        assert not [note for note in ledger.notes if "recall" in note]
        assert cm.vectors is not None
        assert cm.vectors.count("default") == 200
        assert cm.verify() == []
