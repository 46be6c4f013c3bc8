"""Vectors in Chroma: embedded in a folder of one process, or behind a `chroma run` server.

One collection a tenant, under a name that says nothing about it; the embedder and its dimension stand
in the collection. A search that is limited to a thread first asks without the limit and filters itself,
because Chroma's own filters are slow in large collections (218 ms against 6 ms in one of 100,000 rows).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from contextkit.errors import StoreCorrupt, StoreError
from contextkit.stores.chroma_client import is_missing, telling
from contextkit.stores.chroma_opening import Opening
from contextkit.stores.chroma_rows import (
    PREFIX,
    described,
    equals,
    fields_of,
    is_of,
    matching,
    metadata_of,
    name_of,
    space_of,
    where_of,
)
from contextkit.vectors import Fields, VectorHit, VectorRow, VectorSpace, check_space, unit_rows

T = TypeVar("T")

BATCH = 5000
"""Rows in one call; Chroma refuses more than 5,461."""
PAGE = 1000
"""Rows read in one call."""
OVERFETCH = 4
"""A limited search first asks for so many times as many rows, without the limit."""
_INDEX = {
    "hnsw": {"space": "cosine", "ef_construction": 200, "max_neighbors": 32, "ef_search": 300}
}
"""Recall@10 of 0.999 where Chroma's own settings gave 0.984 (20,000 clustered vectors, measured)."""


class ChromaVectors(BaseModel):
    """`{kind: chroma, path: …}` or `{kind: chroma, host: …, port: …}`; opened at the first use."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "chroma"
    extra: ClassVar[str] = "chroma"
    needs: ClassVar[tuple[str, ...]] = ("chromadb", "filelock")

    path: Path = Field(default=Path("contextkit-vectors"), description="Folder of the index")
    host: str | None = Field(default=None, description="A Chroma server, instead of a folder")
    port: int = Field(default=8000, ge=1, le=65535, description="Where the server listens")
    ssl: bool = Field(default=False, description="Speak to the server over TLS")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Sent with every request to a server, such as a token"
    )
    busy_timeout_s: float = Field(
        default=2.0,
        ge=0,
        description="How long to wait for another process that has the folder open",
    )

    timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds to wait for a server's answer"
    )

    _opening: Opening = PrivateAttr()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.host is not None and "path" in self.model_fields_set:
            raise ValueError("path: give a path or a host, not both")
        return self

    def model_post_init(self, context: Any, /) -> None:
        self._opening = Opening(
            self.path,
            self.busy_timeout_s,
            self.timeout_s,
            host=self.host,
            port=self.port,
            ssl=self.ssl,
            headers={name: value.get_secret_value() for name, value in self.headers.items()},
        )

    def open(self, tenant: str, space: VectorSpace) -> None:
        """Make ready for a tenant's vectors of this space. Raises `VectorsMismatch`."""
        found = self.space(tenant)
        if found is not None:
            check_space(tenant, found, space)
            return
        client = self._opening.client(write=True)
        with telling(self._opening.place):
            client.get_or_create_collection(
                name_of(tenant),
                embedding_function=None,
                configuration=_INDEX,
                metadata=described(tenant, space),
            )

    def space(self, tenant: str) -> VectorSpace | None:
        """The space of a tenant's vectors; None where it has none."""
        collection = self._collection(tenant)
        return None if collection is None else space_of(collection)

    def upsert(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Write rows whole. Raises `StoreError` for a vector that does not fit the others."""
        unique = list({row.id: row for row in rows}.values())
        if not unique:
            return
        space = self.space(tenant)
        dimension = space.dimension if space else len(unique[0].vector)
        units = unit_rows(unique, dimension, tenant)
        if space is None:
            self.open(tenant, VectorSpace("", dimension))
        self._opening.client(write=True)
        for start in range(0, len(unique), BATCH):
            page = unique[start : start + BATCH]
            metadatas = [metadata_of(row.fields) for row in page]
            batch = {
                "ids": [row.id for row in page],
                "embeddings": units[start : start + BATCH],
                "metadatas": metadatas,
            }
            if not self._ask(tenant, partial(_upsert, batch), False):
                raise StoreError(
                    f"{self._opening.place}: the vectors of tenant {tenant!r} were dropped while they "
                    "were written; write them again"
                )

    def search(
        self, tenant: str, vector: Sequence[float], *, top_k: int, where: Fields | None = None
    ) -> list[VectorHit]:
        """The nearest rows of a tenant whose fields equal `where`, best first; ties by id."""
        space = self.space(tenant)
        if space is None:
            return []
        asked = unit_rows([VectorRow("the query", vector)], space.dimension, tenant)
        if top_k < 1:
            return []
        n_asked = max(64, OVERFETCH * top_k) if where else top_k
        nearest = self._query(tenant, asked, n_asked, None)
        hits = matching(nearest, where)
        if len(hits) < top_k and len(nearest) == n_asked:
            hits = matching(self._query(tenant, asked, top_k, where), where)
        return hits[:top_k]

    def get(self, tenant: str, ids: Sequence[str]) -> list[VectorRow]:
        """The rows of these ids, by id; missing ones are left out."""
        rows: list[VectorRow] = []
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), PAGE):
            page = partial(_get, wanted[start : start + PAGE])
            found = self._ask(tenant, page, None)
            if found is not None:
                parts = zip(found["ids"], found["embeddings"], found["metadatas"], strict=True)
                rows += [VectorRow(i, vector.tolist(), fields_of(m)) for i, vector, m in parts]
        return sorted(rows, key=lambda row: row.id)

    def ids(self, tenant: str, *, where: Fields | None = None) -> list[str]:
        """The ids of all rows whose fields equal `where`, sorted."""
        include = ["metadatas"] if where else []
        found = self._ask(tenant, lambda c: c.get(where=where_of(where), include=include), None)
        if found is None:
            return []
        if not where:
            return sorted(found["ids"])
        parts = zip(found["ids"], found["metadatas"], strict=True)
        return sorted(i for i, metadata in parts if equals(fields_of(metadata), where))

    def delete(self, tenant: str, ids: Sequence[str]) -> None:
        """Take rows out; ids that are not there are passed over."""
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), BATCH):
            self._opening.client(write=True)
            self._ask(tenant, partial(_delete, wanted[start : start + BATCH]), None)

    def count(self, tenant: str) -> int:
        """How many rows a tenant has."""
        return int(self._ask(tenant, lambda c: c.count(), 0))

    def drop(self, tenant: str) -> None:
        """Forget all rows of a tenant and their space."""
        client = self._opening.client(write=True)
        self._opening.collections.pop(tenant, None)
        try:
            with telling(self._opening.place):
                client.delete_collection(name_of(tenant))
        except StoreError as error:
            if not is_missing(error.__cause__ or error):
                raise

    def reset(self) -> None:
        """Forget all rows of every tenant, also where the folder's index can't be read."""
        if self._opening.is_embedded:
            self._opening.wipe()
            return
        client = self._opening.client(write=True)
        with telling(self._opening.place):
            for listed in client.list_collections():
                if listed.name.startswith(PREFIX):
                    client.delete_collection(listed.name)
        self._opening.collections.clear()

    def close(self) -> None:
        """Give back the folder or the connections; the store can't be used after."""
        self._opening.close()

    # -- inner ---------------------------------------------------------------------------------

    def _query(self, tenant: str, asked: Any, n_rows: int, where: Fields | None) -> list[VectorHit]:
        found = self._ask(
            tenant,
            lambda c: c.query(
                query_embeddings=asked,
                n_results=n_rows,
                where=where_of(where),
                include=["metadatas", "distances"],
            ),
            None,
        )
        if found is None:
            return []
        parts = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
        hits = [VectorHit(i, 1 - float(distance), fields_of(m)) for i, distance, m in parts]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))

    def _ask(self, tenant: str, act: Callable[[Any], T], otherwise: T) -> T:
        """What `act` gives for the tenant's collection; `otherwise` where there is none."""
        for _ in range(2):
            collection = self._collection(tenant)
            if collection is None:
                return otherwise
            try:
                with telling(self._opening.place):
                    return act(collection)
            except StoreError as error:
                if not is_missing(error.__cause__ or error):
                    raise
            self._opening.collections.pop(tenant, None)
        return otherwise

    def _collection(self, tenant: str) -> Any:
        client = self._opening.client()
        found = self._opening.collections.get(tenant)
        if found is not None:
            return found
        try:
            with telling(self._opening.place):
                found = client.get_collection(name_of(tenant), embedding_function=None)
        except StoreError as error:
            if is_missing(error.__cause__ or error):
                return None
            raise
        if not is_of(tenant, found):
            raise StoreCorrupt(
                f"{self._opening.place}: the collection {found.name} is not that of tenant {tenant!r}; run "
                "`contextkit reindex`"
            )
        self._opening.collections[tenant] = found
        return found


def _upsert(batch: dict[str, Any], collection: Any) -> bool:
    collection.upsert(**batch)
    return True


def _get(ids: list[str], collection: Any) -> Any:
    return collection.get(ids=ids, include=["embeddings", "metadatas"])


def _delete(ids: list[str], collection: Any) -> None:
    collection.delete(ids=ids)
