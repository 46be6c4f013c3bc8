"""Vectors of rows and of their tokens, from blocks of rows that are read together; kept in the memo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

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
from contextkit.recall.vectors import NO_HURRY, Pace, Texts, weights_of
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

    @property
    def n_final(self) -> int:
        """Rows whose vectors stay as they are: those of blocks that are full."""
        is_open = bool(self._blocks) and not self._blocks[-1].is_full
        return self._blocks[-1].start if is_open else len(self.dense)

    def extend(
        self,
        rows: Sequence[Row],
        joins: Vectors,
        sessions: Sequence[int],
        texts: Texts,
        pace: Pace = NO_HURRY,
    ) -> bool:
        """Bring the vectors up to all `rows`, as far as `pace` lets; whether all of them have theirs.

        The newest block is read again while it grows. Raises `EmbeddingFailed`, `ConfigError`.
        """
        if len(rows) == len(self.dense):
            return True
        while self._blocks and not self._blocks[-1].is_full:
            self._drop(self._blocks[-1])
        first = self._blocks[-1].stop if self._blocks else 0
        lengths, keys = [row.n_chars for row in rows], [row.key for row in rows]
        new = list(blocks(lengths, sessions, keys, first))
        for start in range(0, len(new), BATCH_BLOCKS):
            if pace.is_stopped:
                return False
            page = new[start : start + BATCH_BLOCKS]
            pooled = self._load(page)
            missing = [block for block in page if block.key not in pooled]
            if missing:
                if pace.most is not None and len(rows) - missing[0].start > pace.most:
                    return False
                pooled.update(self._read(missing, sessions, texts))
            for block in page:
                self._put(block, rows, joins, pooled[block.key])
            pace.advance(page[-1].stop - page[0].start)
        return True

    def ask(self, readings: Sequence[str]) -> Asked:
        """The vector of a query's readings and those of their tokens. Raises `EmbeddingFailed`."""
        return self._checked(
            lambda: read_query(self._embedder, readings), lambda asked: asked.vector
        )

    def matches(
        self, asked: Asked, candidates: NDArray[np.intp], weigh: Callable[[int, int], float]
    ) -> Vectors:
        """The weighted mean of the best cosines of the query's tokens, for each candidate row.

        `weigh` tells what a token counts, by its place in the query's readings.
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

    def _put(self, block: Block, rows: Sequence[Row], joins: Vectors, pooled: Vectors) -> None:
        span = slice(block.start, block.stop)
        self.dense.add(pooled, weights_of(rows[span]), joins[span])
        self._of_row += [len(self._blocks)] * (block.stop - block.start)
        self._blocks.append(block)

    def _drop(self, block: Block) -> None:
        self._blocks.pop()
        del self._of_row[block.start :]
        self.dense.cut(block.start)
        self._held.pop(block.key, None)

    def _load(self, page: Sequence[Block]) -> dict[str, Vectors]:
        """The row vectors of blocks that the memo has, by the blocks' keys."""
        keys = [self._memo_key(block) for block in page]
        kept = self._store.load_memo(self._record.tenant, self._pooled, keys)
        found = {
            block.key: _unmarked(kept[key], block)
            for block, key in zip(page, keys, strict=True)
            if key in kept
        }
        return {key: rows for key, rows in found.items() if rows is not None}

    def _memo_key(self, block: Block) -> str:
        return block.key if block.is_full else self._tail_key

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
            key = self._memo_key(block)
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
                missing.setdefault(self._memo_key(block), []).append(at)
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


def _unmarked(kept: bytes, block: Block) -> Vectors | None:
    """The row vectors in a value of the memo; None where they are of another block."""
    if kept[:KEY_BYTES] != bytes.fromhex(block.key):
        return None
    values = np.frombuffer(kept, "<f2", offset=KEY_BYTES).astype(np.float32)
    return values.reshape(block.stop - block.start, -1)


def _pages(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
