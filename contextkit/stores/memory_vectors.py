"""Vectors in this process's memory, searched exactly: for tests, notebooks and short histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from contextkit.vectors import Fields, VectorHit, VectorRow, VectorSpace, check_space, unit_rows

if TYPE_CHECKING:
    from contextkit.embedding import Vectors


@dataclass(slots=True)
class _Table:
    """The rows of one tenant: vectors in a matrix that grows by doubling, the newest row last."""

    space: VectorSpace
    matrix: Vectors
    ids: list[str] = field(default_factory=list[str])
    fields: list[Fields] = field(default_factory=list[Fields])
    places: dict[str, int] = field(default_factory=dict[str, int])

    def put(self, row_id: str, values: Any, fields: Fields) -> None:
        import numpy as np

        place = self.places.get(row_id)
        if place is None:
            place = self.places[row_id] = len(self.ids)
            self.ids.append(row_id)
            self.fields.append(fields)
            if place == len(self.matrix):
                grown = np.zeros((max(16, 2 * place), self.space.dimension), np.float32)
                grown[:place] = self.matrix
                self.matrix = grown
        self.matrix[place] = values
        self.fields[place] = fields

    def take_out(self, row_id: str) -> None:
        place = self.places.pop(row_id, None)
        if place is None:
            return
        last, fields = self.ids.pop(), self.fields.pop()
        if place < len(self.ids):
            self.ids[place], self.fields[place], self.places[last] = last, fields, place
            self.matrix[place] = self.matrix[len(self.ids)]

    def matching(self, where: Fields | None) -> list[int]:
        wanted = (where or {}).items()
        return [
            place
            for place, fields in enumerate(self.fields)
            if all(fields.get(name) == value for name, value in wanted)
        ]


class MemoryVectors(BaseModel):
    """Exact cosine search over all rows of a tenant; O(rows × dimension) a search."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "memory"

    _tables: dict[str, _Table] = PrivateAttr(default_factory=dict[str, _Table])
    _lock: RLock = PrivateAttr(default_factory=RLock)

    def open(self, tenant: str, space: VectorSpace) -> None:
        """Make ready for a tenant's vectors of this space. Raises `VectorsMismatch`."""
        import numpy as np

        with self._lock:
            table = self._tables.get(tenant)
            if table is None:
                empty = np.zeros((0, space.dimension), np.float32)
                self._tables[tenant] = _Table(space, empty)
            else:
                check_space(tenant, table.space, space)

    def space(self, tenant: str) -> VectorSpace | None:
        """The space of a tenant's vectors; None where it has none."""
        with self._lock:
            table = self._tables.get(tenant)
            return table.space if table else None

    def upsert(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Write rows whole. Raises `StoreError` for a vector that does not fit the others."""
        if not rows:
            return
        with self._lock:
            table = self._tables.get(tenant)
            dimension = table.space.dimension if table else len(rows[0].vector)
            units = unit_rows(rows, dimension, tenant)
            if table is None:
                self.open(tenant, VectorSpace("", dimension))
            for row, values in zip(rows, units, strict=True):
                self._tables[tenant].put(row.id, values, dict(row.fields))

    def search(
        self, tenant: str, vector: Sequence[float], *, top_k: int, where: Fields | None = None
    ) -> list[VectorHit]:
        """The nearest rows of a tenant whose fields equal `where`, best first; ties by id."""
        with self._lock:
            table = self._tables.get(tenant)
            if table is None:
                return []
            (asked,) = unit_rows([VectorRow("the query", vector)], table.space.dimension, tenant)
            places = table.matching(where)
            scores = table.matrix[places] @ asked
            ranked = sorted(
                (-float(score), table.ids[place], place)
                for score, place in _best(scores, places, top_k)
            )
            found = ranked[: max(0, top_k)]
            return [VectorHit(i, -score, table.fields[place]) for score, i, place in found]

    def get(self, tenant: str, ids: Sequence[str]) -> list[VectorRow]:
        """The rows of these ids, by id; missing ones are left out."""
        with self._lock:
            table = self._tables.get(tenant)
            held = sorted(set(ids) & table.places.keys()) if table else []
            return [_row(table, row_id) for row_id in held if table]

    def ids(self, tenant: str, *, where: Fields | None = None) -> list[str]:
        """The ids of all rows whose fields equal `where`, sorted."""
        with self._lock:
            table = self._tables.get(tenant)
            return sorted(table.ids[place] for place in table.matching(where)) if table else []

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        with self._lock:
            table = self._tables.get(tenant)
            if table is not None:
                for row_id in ids:
                    table.take_out(row_id)

    def count(self, tenant: str) -> int:
        """How many rows a tenant has."""
        with self._lock:
            table = self._tables.get(tenant)
            return len(table.ids) if table else 0

    def drop(self, tenant: str) -> None:
        """Forget all rows of a tenant and their space."""
        with self._lock:
            self._tables.pop(tenant, None)

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tables.clear()

    def close(self) -> None:
        """Forget everything."""
        self.reset()


def _best(scores: Any, places: Sequence[int], top_k: int) -> list[tuple[float, int]]:
    """(score, place) of the `top_k` best and of all that are as good as the last of them."""
    import numpy as np

    if 0 < top_k < len(places):
        least = np.partition(scores, len(places) - top_k)[len(places) - top_k]
        return [(scores[i], places[i]) for i in np.flatnonzero(scores >= least)]
    return list(zip(scores, places, strict=True))


def _row(table: _Table, row_id: str) -> VectorRow:
    place = table.places[row_id]
    fields: Mapping[str, Any] = table.fields[place]
    return VectorRow(row_id, table.matrix[place].tolist(), fields)
