"""The contract of vector stores: an index beside the history that can be made again from it at any time.

Vectors are ours (the store embeds nothing), every row belongs to a tenant, no search crosses tenants, and
all vectors of a tenant are of one embedder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from contextkit.errors import StoreError, VectorsMismatch

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

Fields: TypeAlias = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One vector under its id, with small fields to filter by (thread, speaker, time)."""

    id: str
    vector: Sequence[float]
    fields: Fields = field(default_factory=dict[str, "str | int | float | bool"])


@dataclass(frozen=True, slots=True)
class VectorHit:
    """A row found by a search; `score` is the cosine similarity, in [-1, 1]."""

    id: str
    score: float
    fields: Fields


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """What vectors must have in common to be compared."""

    embedder: str
    """Name of the embedder; empty where vectors came without one."""
    dimension: int

    def __str__(self) -> str:
        return f"{self.embedder or 'an unnamed embedder'} ({self.dimension} dimensions)"


class VectorStore(Protocol):
    """Keeps vectors by tenant. Implementations are pydantic models: their fields are their YAML.

    Errors: `StoreBusy` where another process writes, `VectorsMismatch`, `StoreCorrupt` where the index is
    damaged, `StoreError`. Nothing but time is lost with an index. Safe to use from several threads.
    """

    kind: ClassVar[str]

    def open(self, tenant: str, space: VectorSpace) -> None:
        """Make ready for a tenant's vectors of this space; nothing where it is so already.

        Raises `VectorsMismatch` where vectors of another space are there: `drop` them first.
        """
        ...

    def space(self, tenant: str) -> VectorSpace | None:
        """The space of a tenant's vectors; None where it has none."""
        ...

    def upsert(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Write rows whole; a row whose id is there already is replaced, of two with one id the last stays.

        Raises `StoreError` for a vector of another dimension or with a value that is not finite.
        """
        ...

    def search(
        self, tenant: str, vector: Sequence[float], *, top_k: int, where: Fields | None = None
    ) -> list[VectorHit]:
        """The nearest rows of a tenant whose fields equal `where`, best first; ties by id."""
        ...

    def get(self, tenant: str, ids: Sequence[str]) -> list[VectorRow]:
        """The rows of these ids as they are kept (at unit length), by id; missing ones are left out."""
        ...

    def ids(self, tenant: str, *, where: Fields | None = None) -> list[str]:
        """The ids of all rows whose fields equal `where`, sorted."""
        ...

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        ...

    def count(self, tenant: str) -> int: ...

    def drop(self, tenant: str) -> None:
        """Forget all rows of a tenant and their space."""
        ...

    def reset(self) -> None:
        """Forget all rows of every tenant, also where what is there can't be read."""
        ...

    def close(self) -> None: ...


def check_space(tenant: str, found: VectorSpace, wanted: VectorSpace) -> None:
    """Raises `VectorsMismatch` where the two are not the same."""
    if found != wanted:
        raise VectorsMismatch(
            f"the vectors of tenant {tenant!r} were made by {found}, those of {wanted} are wanted; run "
            "`contextkit reindex`, or configure the embedder that made them"
        )


def unit_rows(rows: Sequence[VectorRow], dimension: int, tenant: str) -> Vectors:
    """The vectors at length 1, `[len(rows), dimension]`; a zero vector stays zero and is like nothing.

    Raises `StoreError` for a vector of another dimension or with a value that is not finite.
    """
    import numpy as np

    for row in rows:
        if len(row.vector) != dimension:
            raise StoreError(
                f"vector {row.id!r} has {len(row.vector)} dimensions, those of tenant {tenant!r} have "
                f"{dimension}; embed all with one model"
            )
    values = np.asarray([row.vector for row in rows], np.float64).reshape(len(rows), dimension)
    finite = np.isfinite(values).all(axis=1)
    if not dimension or not finite.all():
        odd = rows[int(np.flatnonzero(~finite)[0]) if dimension else 0]
        raise StoreError(f"vector {odd.id!r} is empty or holds a value that is not finite")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: Vectors = (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
