"""The vectors of a memory's rows: made once, kept in the memo, never made again after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from contextkit.embedding import Embedder, embed, embed_all, space_of
from contextkit.errors import ContextKitError, EmbeddingFailed
from contextkit.recall.dense import Dense
from contextkit.recall.rows import Row
from contextkit.recall.states import (
    Asked,
    Block,
    Kept,
    StatesEmbedder,
    best_matches,
    blocks,
    read_blocks,
    read_query,
)
from contextkit.store import HistoryStore, ThreadRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.recall.states import Tokens

    Vectors: TypeAlias = NDArray[np.float32]

PAGE = 500
"""Keys asked of the memo at a time."""
BATCH_BLOCKS = 16
"""Blocks that are read, and kept, at a time: an interrupted run goes on behind them."""
HELD_BLOCKS = 4096
"""Blocks whose token vectors stay in memory."""

KEY_BYTES = 32

T = TypeVar("T")
Texts: TypeAlias = Callable[[Sequence[int]], list[str]]
"""The words of rows, by their numbers."""


class PlainVectors:
    """One vector a row from an embedder that reads each text alone."""

    def __init__(self, store: HistoryStore, record: ThreadRecord, embedder: Embedder) -> None:
        self._store, self._tenant, self._embedder = store, record.tenant, embedder
        self.dense = Dense(embedder.dimension)

    def extend(
        self, rows: Sequence[Row], joins: Vectors, sessions: Sequence[int], texts: Texts
    ) -> None:
        """Bring the vectors up to all `rows`. Raises `EmbeddingFailed`, `ConfigError`."""
        first = len(self.dense)
        new = rows[first:]
        made = np.zeros((len(new), self._embedder.dimension), np.float32)
        missing: list[int] = []
        for start in range(0, len(new), PAGE):
            keys = [row.key for row in new[start : start + PAGE]]
            kept = self._store.load_memo(self._tenant, space_of(self._embedder), keys)
            for at, key in enumerate(keys, start):
                if len(kept.get(key, b"")) == 2 * made.shape[1]:
                    made[at] = np.frombuffer(kept[key], "<f2")
                else:
                    missing.append(at)
        for start in range(0, len(missing), PAGE):
            page = missing[start : start + PAGE]
            words = texts([first + at for at in page])
            made[page] = embed_all(self._store, self._tenant, self._embedder, words)
        self.dense.add(made, weights_of(new), joins[first:])

    def ask(self, query: str) -> Asked:
        """The query's vector. Raises `EmbeddingFailed`."""
        return Asked(embed(self._embedder, [query], query=True)[0])


class StatesVectors:
    """Vectors of tokens, and of rows as their mean, from an embedder that reads blocks of passages."""

    def __init__(self, store: HistoryStore, record: ThreadRecord, embedder: StatesEmbedder) -> None:
        self._store, self._record, self._embedder = store, record, embedder
        self._pooled = f"pooled/1/{embedder.states_name}"
        self._states = f"states/1/{embedder.states_name}"
        self._tail_key = f"tail/{record.id}"
        self.dense = Dense(embedder.states_projection.shape[0])
        self._blocks: list[Block] = []
        self._of_row: list[int] = []
        self._held: dict[str, list[Tokens]] = {}

    def extend(
        self, rows: Sequence[Row], joins: Vectors, sessions: Sequence[int], texts: Texts
    ) -> None:
        """Bring the vectors up to all `rows`; the newest block is read again while it grows."""
        if len(rows) == len(self.dense):
            return
        while self._blocks and not self._blocks[-1].is_full:
            self._drop(self._blocks[-1])
        first = self._blocks[-1].stop if self._blocks else 0
        lengths, keys = [row.n_chars for row in rows], [row.key for row in rows]
        new = list(blocks(lengths, sessions, keys, first))
        for start in range(0, len(new), BATCH_BLOCKS):
            page = new[start : start + BATCH_BLOCKS]
            for block, pooled in zip(page, self._load(page, sessions, texts), strict=True):
                span = rows[block.start : block.stop]
                self.dense.add(pooled, weights_of(span), joins[block.start : block.stop])
                self._of_row += [len(self._blocks)] * len(span)
                self._blocks.append(block)

    def ask(self, query: str) -> Asked:
        """The query's vector and those of its tokens. Raises `EmbeddingFailed`."""
        return self._checked(lambda: read_query(self._embedder, query), lambda asked: asked.vector)

    def matches(
        self, asked: Asked, candidates: NDArray[np.intp], weigh: Callable[[int, int], float]
    ) -> Vectors:
        """The weighted mean of the best cosines of the query's tokens, for each candidate row.

        `weigh` tells what a token counts, by its place in the query.
        """
        if asked.tokens is None or asked.places is None:
            return np.zeros(len(candidates), np.float32)
        weights = np.asarray([weigh(int(a), int(b)) for a, b in asked.places], np.float32)
        if not weights.sum():
            return np.zeros(len(candidates), np.float32)
        of_row = [self._of_row[row] for row in map(int, candidates)]
        kept = self._kept(list(dict.fromkeys(of_row)))
        passages = [
            kept[at][row - self._blocks[at].start]
            for at, row in zip(of_row, map(int, candidates), strict=True)
        ]
        found = best_matches(asked.tokens, passages)
        scored: Vectors = found @ weights / weights.sum()
        return scored

    # -- inner ---------------------------------------------------------------------------------

    def _drop(self, block: Block) -> None:
        self._blocks.pop()
        del self._of_row[block.start :]
        self.dense.cut(block.start)
        self._held.pop(block.key, None)

    def _load(self, page: Sequence[Block], sessions: Sequence[int], texts: Texts) -> list[Vectors]:
        """The row vectors of blocks, from the memo; what it lacks is read and kept."""
        keys = [block.key if block.is_full else self._tail_key for block in page]
        kept = self._store.load_memo(self._record.tenant, self._pooled, keys)
        pooled: dict[str, Vectors] = {}
        for block, key in zip(page, keys, strict=True):
            if (found := kept.get(key)) is not None and (
                rows := _unmarked(found, block)
            ) is not None:
                pooled[block.key] = rows
        missing = [block for block in page if block.key not in pooled]
        if missing:
            pooled.update(self._read(missing, sessions, texts))
        return [pooled[block.key] for block in page]

    def _read(
        self, missing: Sequence[Block], sessions: Sequence[int], texts: Texts
    ) -> dict[str, Vectors]:
        words = [texts(range(block.start, block.stop)) for block in missing]
        contexts = [
            texts([block.start - 1])[0]
            if block.start and sessions[block.start - 1] == sessions[block.start]
            else ""
            for block in missing
        ]
        made = self._checked(
            lambda: read_blocks(self._embedder, words, contexts),
            lambda found: np.concatenate([pooled for pooled, _ in found]),
        )
        rows: dict[str, bytes] = {}
        states: dict[str, bytes] = {}
        out: dict[str, Vectors] = {}
        for block, (pooled, kept) in zip(missing, made, strict=True):
            key = block.key if block.is_full else self._tail_key
            halves = pooled.astype("<f2")
            rows[key] = bytes.fromhex(block.key) + halves.tobytes()
            states[key] = bytes.fromhex(block.key) + kept.to_bytes()
            out[block.key] = halves.astype(np.float32)
            self._hold(block.key, kept.passages())
        self._store.save_memo(self._record.tenant, self._states, states)
        self._store.save_memo(self._record.tenant, self._pooled, rows)
        return out

    def _kept(self, numbers: Sequence[int]) -> dict[int, list[Tokens]]:
        """The token vectors of blocks by their number, from memory or the memo."""
        found: dict[int, list[Tokens]] = {}
        missing: dict[str, list[int]] = {}
        for at in numbers:
            block = self._blocks[at]
            if (held := self._held.get(block.key)) is not None:
                found[at] = held
            else:
                missing.setdefault(block.key if block.is_full else self._tail_key, []).append(at)
        for page in _pages(list(missing), PAGE):
            kept = self._store.load_memo(self._record.tenant, self._states, page)
            for key, value in kept.items():
                passages = Kept.from_bytes(value[KEY_BYTES:]).passages()
                found.update((at, passages) for at in missing[key])
                self._hold(self._blocks[missing[key][0]].key, passages)
        return found

    def _hold(self, key: str, kept: list[Tokens]) -> None:
        self._held[key] = kept
        while len(self._held) > HELD_BLOCKS:
            del self._held[next(iter(self._held))]

    def _checked(self, read: Callable[[], T], vectors: Callable[[T], Vectors]) -> T:
        try:
            made = read()
        except ContextKitError:
            raise
        except Exception as error:
            name = self._embedder.states_name
            raise EmbeddingFailed(f"embedder {name}: {type(error).__name__}: {error}") from error
        if not np.isfinite(vectors(made)).all():
            raise EmbeddingFailed(
                f"embedder {self._embedder.states_name}: a vector holds a value that is not finite"
            )
        return made


def weights_of(rows: Sequence[Row]) -> Vectors:
    """What each row weighs in a window: longer ones say more, though not in proportion."""
    return np.sqrt(np.asarray([max(row.n_chars, 1) for row in rows], np.float32))


def _unmarked(kept: bytes, block: Block) -> Vectors | None:
    """The row vectors in a value of the memo; None where they are of another block."""
    if kept[:KEY_BYTES] != bytes.fromhex(block.key):
        return None
    values = np.frombuffer(kept, "<f2", offset=KEY_BYTES).astype(np.float32)
    return values.reshape(block.stop - block.start, -1)


def _pages(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
