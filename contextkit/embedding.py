"""The contract of embedders: texts to vectors of unit length, checked and kept so that none is made twice.

Embedders are found by `kind` (entry points `contextkit.embedders`). What a tenant's texts became is kept in
its memo under the embedder's name: a restart embeds nothing again, another model starts its own space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from contextkit.errors import ContextKitError, EmbeddingFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.store import HistoryStore

    Vectors: TypeAlias = NDArray[np.float32]
    """Rows of float32, `[n, dimension]`."""

BATCH = 512
"""Texts that are embedded, and kept, at a time: what a kill costs at most."""
PAGE = 4000
"""Vectors read from the memo at a time."""


class Embedder(Protocol):
    """Turns texts into vectors. Implementations are frozen pydantic models: their fields are their YAML."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Which model in which version; vectors under two names are not comparable."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One row a text, of unit length; a text without words may give a row of zeros.

        `query` is for models that read questions in another way than passages. Raises
        `EmbeddingFailed` where the model cannot be asked, `ConfigError` where it is not installed.
        """
        ...


def embed(embedder: Embedder, texts: Sequence[str], *, query: bool = False) -> Vectors:
    """What the embedder makes of the texts, `[len(texts), dimension]`, after checking it.

    Rows come back at unit length and rounded to half precision, as they are kept. Raises `EmbeddingFailed`
    for a wrong shape, for values that are not finite, and for whatever the embedder raised.
    """
    import numpy as np

    if not texts:
        return np.zeros((0, embedder.dimension), np.float32)
    try:
        made = np.asarray(embedder.embed(texts, query=query), dtype=np.float32)
    except ContextKitError:
        raise
    except Exception as error:
        raise EmbeddingFailed(
            f"embedder {embedder.name}: {type(error).__name__}: {error}; {len(texts)} texts were "
            "not embedded"
        ) from error
    wanted = (len(texts), embedder.dimension)
    if made.shape != wanted:
        raise EmbeddingFailed(
            f"embedder {embedder.name}: the vectors have the shape {made.shape}, {wanted} is what "
            "its texts and its dimension ask for; set the dimension that the model has"
        )
    if not np.isfinite(made).all():
        row = int(np.flatnonzero(~np.isfinite(made).all(axis=1))[0])
        raise EmbeddingFailed(
            f"embedder {embedder.name}: the vector of text {row} ({texts[row][:60]!r}) holds a "
            "value that is not finite"
        )
    wide = made.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    halves = (wide / np.where(lengths > 0, lengths, 1)).astype(np.float16)
    units: Vectors = halves.astype(np.float32)
    return units


def embed_all(
    store: HistoryStore,
    tenant: str,
    embedder: Embedder,
    texts: Sequence[str],
) -> Vectors:
    """`embed` through the memo of a tenant: only texts that it does not hold are embedded, each once.

    What was made is kept batch by batch, so that an interrupted run goes on where it stopped.
    """
    import numpy as np

    space, dimension = space_of(embedder), embedder.dimension
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
    unique = dict(zip(keys, texts, strict=True))
    found: dict[str, Vectors] = {}
    for page in _pages(list(unique), PAGE):
        for key, kept in store.load_memo(tenant, space, page).items():
            if len(kept) == 2 * dimension:
                found[key] = np.frombuffer(kept, dtype="<f2").astype(np.float32)
    missing = [key for key in unique if key not in found]
    for page in _pages(missing, BATCH):
        rows = embed(embedder, [unique[key] for key in page])
        made = zip(page, rows.astype("<f2"), strict=True)
        store.save_memo(tenant, space, {key: row.tobytes() for key, row in made})
        found.update(zip(page, rows, strict=True))
    out = np.zeros((len(texts), dimension), np.float32)
    for row, key in enumerate(keys):
        out[row] = found[key]
    return out


def space_of(embedder: Embedder) -> str:
    """The memo space in which the vectors of an embedder are kept."""
    return f"embedding/{embedder.name}"


def _pages(keys: Sequence[str], size: int) -> list[Sequence[str]]:
    return [keys[start : start + size] for start in range(0, len(keys), size)]
