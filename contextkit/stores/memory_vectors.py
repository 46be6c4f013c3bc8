"""Vectors in this process's memory, searched exactly: for tests, notebooks and short histories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import RLock
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from contextkit.errors import StoreError
from contextkit.vectors import Fields, VectorHit, VectorRow


class MemoryVectors(BaseModel):
    """Exact cosine search over all rows of a tenant; O(rows × dimension) a search."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "memory"

    _rows: dict[str, dict[str, VectorRow]] = PrivateAttr(
        default_factory=dict[str, dict[str, VectorRow]]
    )
    _lock: RLock = PrivateAttr(default_factory=RLock)

    def upsert(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Write rows whole. Raises `StoreError` for a vector that does not fit the others."""
        units = [VectorRow(row.id, _unit(row), dict(row.fields)) for row in rows]
        with self._lock:
            held = self._rows.setdefault(tenant, {})
            known = next(iter(held.values()), units[0] if units else None)
            for row in units:
                if known is not None and len(row.vector) != len(known.vector):
                    raise StoreError(
                        f"vector {row.id!r} has {len(row.vector)} dimensions, those of tenant "
                        f"{tenant!r} have {len(known.vector)}; embed all with one model"
                    )
            held.update((row.id, row) for row in units)

    def search(
        self, tenant: str, vector: Sequence[float], *, top_k: int, where: Fields | None = None
    ) -> list[VectorHit]:
        """The nearest rows of a tenant whose fields equal `where`, best first; ties by id."""
        with self._lock:
            rows = list(self._rows.get(tenant, {}).values())
        unit = _unit(VectorRow("the query", vector))
        if rows and len(unit) != len(rows[0].vector):
            raise StoreError(
                f"the query has {len(unit)} dimensions, those of tenant {tenant!r} have "
                f"{len(rows[0].vector)}; embed both with one model"
            )
        wanted = (where or {}).items()
        hits = [
            VectorHit(row.id, sum(map(float.__mul__, unit, row.vector)), row.fields)
            for row in rows
            if all(row.fields.get(name) == value for name, value in wanted)
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.id))
        return hits[: max(0, top_k)]

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        with self._lock:
            for row_id in ids:
                self._rows.get(tenant, {}).pop(row_id, None)

    def count(self, tenant: str) -> int:
        """How many rows a tenant has."""
        with self._lock:
            return len(self._rows.get(tenant, {}))

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rows.clear()


def _unit(row: VectorRow) -> list[float]:
    """The vector at length 1; a zero vector stays zero and is like nothing."""
    values = [float(value) for value in row.vector]
    if not values or not all(map(math.isfinite, values)):
        raise StoreError(f"vector {row.id!r} is empty or holds a value that is not finite")
    norm = math.hypot(*values)
    return [value / norm for value in values] if norm else values
