"""Token vectors for late interaction: each word of a question finds its best match in a passage.

Khattab and Zaharia 2020 (ColBERT, arXiv:2004.12832), with the states of a sentence encoder that was
never trained for it. Passages are read in blocks of a few, so that a word's vector knows what was said
before (late chunking, Günther et al. 2024, arXiv:2409.04701). Vectors are kept at 128 dimensions (a
principal component projection) in eight bits each.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np

from contextkit.embedding import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    Tokens: TypeAlias = tuple[NDArray[np.int8], NDArray[np.float16]]
    """Token vectors of one passage as they are kept, and what to multiply them with."""

BLOCK_ROWS = 4
BLOCK_CHARS = 900
"""A block is full when it has so many passages, or so many characters."""
CONTEXT_CHARS = 200
"""What is read of the passage before a block."""


@runtime_checkable
class StatesEmbedder(Protocol):
    """An embedder that also gives the vectors of single tokens."""

    @property
    def states_name(self) -> str | None:
        """Identity of the token vectors; None where this one has none."""
        ...

    @property
    def states_projection(self) -> Vectors:
        """`[dimension, kept]`: what the vectors are multiplied with before they are kept."""
        ...

    def states(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[tuple[Vectors, NDArray[np.int64]]]]:
        """For each span of each text its tokens' vectors `[n, dimension]` and places `[n, 2]`."""
        ...


def states_of(embedder: Embedder | None) -> StatesEmbedder | None:
    """The embedder, where it gives vectors of tokens."""
    found: Any = embedder
    if getattr(found, "states_name", None):
        return cast("StatesEmbedder", found)
    return None


@dataclass(frozen=True, slots=True)
class Block:
    """Passages that are read together: rows `start <= row < stop`, what came before them, their key."""

    start: int
    stop: int
    key: str
    is_full: bool


def blocks(
    lengths: Sequence[int], sessions: Sequence[int], keys: Sequence[str], first: int
) -> Iterator[Block]:
    """Cut rows from `first` on into blocks. A block that may still grow is not full.

    `lengths` are in characters; `keys` name the texts.
    """
    n_rows = len(lengths)
    start = first
    while start < n_rows:
        stop, n_chars = start + 1, lengths[start]
        while (
            stop < n_rows
            and sessions[stop] == sessions[start]
            and stop - start < BLOCK_ROWS
            and n_chars + lengths[stop] <= BLOCK_CHARS
        ):
            n_chars += lengths[stop]
            stop += 1
        joined = start > 0 and sessions[start - 1] == sessions[start]
        named = [keys[start - 1] if joined else "", *keys[start:stop]]
        is_full = stop < n_rows or stop - start == BLOCK_ROWS or n_chars >= BLOCK_CHARS
        yield Block(start, stop, hashlib.sha256("\n".join(named).encode()).hexdigest(), is_full)
        start = stop


@dataclass(frozen=True, slots=True)
class Kept:
    """Token vectors of a block as they are kept: `values[n, kept]` in eight bits, times `scales[n]`."""

    counts: tuple[int, ...]
    """Tokens of each passage."""
    scales: NDArray[np.float16]
    values: NDArray[np.int8]

    def to_bytes(self) -> bytes:
        n_rows, width = len(self.counts), self.values.shape[1]
        head = struct.pack(f"<HH{n_rows}H", n_rows, width, *self.counts)
        return head + self.scales.tobytes() + self.values.tobytes()

    def passages(self) -> list[Tokens]:
        """The tokens of each passage, as views."""
        return [
            (self.values[stop - n : stop], self.scales[stop - n : stop])
            for stop, n in zip(accumulate(self.counts), self.counts, strict=True)
        ]

    @classmethod
    def from_bytes(cls, kept: bytes) -> Kept:
        """Raises `ValueError` where the bytes are not what `to_bytes` wrote."""
        n_rows, width = struct.unpack_from("<HH", kept)
        counts = struct.unpack_from(f"<{n_rows}H", kept, 4)
        at, n = 4 + 2 * n_rows, sum(counts)
        scales = np.frombuffer(kept, "<f2", n, at)
        values = np.frombuffer(kept, np.int8, offset=at + 2 * n)
        return cls(counts, scales, values.reshape(n, width))


def read_blocks(
    embedder: StatesEmbedder, texts: Sequence[Sequence[str]], contexts: Sequence[str]
) -> list[tuple[Vectors, Kept]]:
    """For each block the vectors of its passages (mean of their tokens', unit length) and their tokens'."""
    whole: list[str] = []
    spans: list[list[tuple[int, int]]] = []
    for passages, context in zip(texts, contexts, strict=True):
        text = context[-CONTEXT_CHARS:] + "\n" if context else ""
        at: list[tuple[int, int]] = []
        for passage in passages:
            at.append((len(text), len(text) + len(passage)))
            text += passage + "\n"
        whole.append(text)
        spans.append(at)
    projection = embedder.states_projection
    made: list[tuple[Vectors, Kept]] = []
    for found in embedder.states(whole, spans):
        vectors = [states for states, _ in found]
        pooled = np.stack([_unit(each.sum(axis=0)) for each in vectors])
        made.append((pooled, _kept(vectors, projection)))
    return made


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, in one or more readings, as an embedder read it."""

    vector: Vectors
    """`[dimension]`, unit length: the mean of the readings'."""
    tokens: Vectors | None = None
    """`[n, kept]`: the projected unit vectors of the readings' tokens, where the embedder gives them."""
    places: NDArray[np.int64] | None = None
    """`[n, 2]`: where each token stands in the readings, a line each."""


def read_query(embedder: StatesEmbedder, readings: Sequence[str]) -> Asked:
    """The query's vector and those of its tokens, from one reading of each text."""
    read = [
        found[0] for found in embedder.states(readings, [[(0, len(text))] for text in readings])
    ]
    starts = accumulate((len(text) + 1 for text in readings), initial=0)
    pooled = np.stack([_unit(states.sum(axis=0)) for states, _ in read])
    return Asked(
        _unit(pooled.mean(axis=0)),
        _unit(np.concatenate([states for states, _ in read]) @ embedder.states_projection),
        np.concatenate([places + start for (_, places), start in zip(read, starts, strict=False)]),
    )


def best_matches(query: Vectors, passages: Sequence[Tokens]) -> Vectors:
    """The best cosine of each query token among the tokens of each passage, `[n_passages, n_query]`."""
    counts = np.asarray([len(scales) for _, scales in passages])
    out = np.zeros((len(counts), len(query)), np.float32)
    if not counts.sum():
        return out
    values = np.concatenate([values for values, _ in passages]).astype(np.float32)
    scales = np.concatenate([scales for _, scales in passages]).astype(np.float32)
    products = (values @ query.T) * scales[:, None]
    filled = counts > 0
    starts = (np.cumsum(counts) - counts)[filled]
    out[filled] = np.maximum.reduceat(products, starts, axis=0)
    return out


def _kept(vectors: Sequence[Vectors], projection: Vectors) -> Kept:
    counts = tuple(len(each) for each in vectors)
    units = _unit(np.concatenate(vectors) @ projection)
    scales = np.maximum(np.abs(units).max(axis=1), 1e-6) / 127 if len(units) else np.zeros(0)
    halves = scales.astype(np.float16)
    values = np.rint(units / halves.astype(np.float32)[:, None]).clip(-127, 127).astype(np.int8)
    return Kept(counts, halves, values)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units: Vectors = vectors / np.maximum(lengths, 1e-9)
    return units
