"""What a process under test does with an index: it writes, and says what it has written.

`python -m tests.vectors.writer FOLDER hold|fork|grow`
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from contextkit.embedders.hashing import HashingEmbedder
from contextkit.errors import StoreError
from contextkit.recall.memory import Memory
from contextkit.store import ThreadRecord
from contextkit.stores.chroma import ChromaVectors
from contextkit.stores.sql import SqlHistory
from contextkit.vector_index import VectorIndex
from contextkit.vectors import VectorRow
from tests.stores.making import grow, opened

EMBEDDER = HashingEmbedder(dimension=64)


def open_index(folder: Path) -> VectorIndex:
    history = SqlHistory(url=f"sqlite:///{folder}/history.db")
    vectors = ChromaVectors(path=folder / "vectors")
    return VectorIndex(history, vectors, EMBEDDER, lambda record: Memory(history, record, EMBEDDER))


def sync(index: VectorIndex, thread: ThreadRecord) -> None:
    ids, vectors, n_final = Memory(index.history, thread, EMBEDDER).row_vectors()
    index.sync(thread, ids, vectors, n_final=n_final)


def remark(number: int) -> str:
    """Twenty words that the number decides."""
    chance = random.Random(number)
    return f"{number}: " + " ".join(f"word{chance.randrange(500)}" for _ in range(20))


def say(*words: object) -> None:
    print(*words, flush=True)


def hold(folder: Path) -> None:
    """Has the index open until it is killed."""
    store = ChromaVectors(path=folder / "vectors")
    store.upsert("acme", [VectorRow("m1", [1, 0])])
    say("held")
    time.sleep(3600)


def fork(folder: Path) -> None:
    """A forked child must not go on with what its parent has open."""
    store = ChromaVectors(path=folder / "vectors", busy_timeout_s=0)
    store.upsert("acme", [VectorRow("m1", [1, 0])])
    child = os.fork()
    if child == 0:
        try:
            say(store.count("acme"))
        except StoreError as error:
            say(type(error).__name__)
        os._exit(0)
    os.waitpid(child, 0)
    say(store.count("acme"))
    store.close()


def grow_until_killed(folder: Path) -> None:
    """Appends and indexes without end; a line for every batch that is in both."""
    index = open_index(folder)
    thread = opened(index.history)
    step = index.history.head(thread).n_entries
    while True:
        grow(index.history, thread, *(remark(step + i) for i in range(150)))
        step += 150
        sync(index, thread)
        say(step)


if __name__ == "__main__":
    work = {"hold": hold, "fork": fork, "grow": grow_until_killed}
    work[sys.argv[2]](Path(sys.argv[1]))
