"""The contract of vector stores: an index beside the log that can be rebuilt from it at any time.

Vectors are ours (the store embeds nothing), ids are the log's handles, every row belongs to a tenant
and no search crosses tenants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

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


class VectorStore(Protocol):
    """Keeps vectors by tenant. Implementations are pydantic models: their fields are their YAML."""

    kind: ClassVar[str]

    def upsert(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Write rows whole; a row whose id is there already is replaced.

        Raises `StoreError` for a vector of another dimension or with a value that is not finite.
        """
        ...

    def search(
        self, tenant: str, vector: Sequence[float], *, top_k: int, where: Fields | None = None
    ) -> list[VectorHit]:
        """The nearest rows of a tenant whose fields equal `where`, best first; ties by id."""
        ...

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        ...

    def count(self, tenant: str) -> int: ...

    def close(self) -> None: ...
