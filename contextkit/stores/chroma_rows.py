"""How a tenant, its space and its rows are written down in Chroma."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

from contextkit.vectors import Fields, VectorHit, VectorSpace

PREFIX = "contextkit-"


def name_of(tenant: str) -> str:
    return PREFIX + digest_of(tenant)[:40]


def described(tenant: str, space: VectorSpace) -> dict[str, str | int]:
    """What stands in a tenant's collection."""
    return {"tenant": digest_of(tenant), "embedder": space.embedder, "dimension": space.dimension}


def is_of(tenant: str, collection: Any) -> bool:
    """Whether the collection says that it is this tenant's."""
    metadata: dict[str, Any] = collection.metadata or {}
    return metadata.get("tenant") == digest_of(tenant)


def digest_of(tenant: str) -> str:
    return hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()


def space_of(collection: Any) -> VectorSpace:
    metadata: dict[str, Any] = collection.metadata
    return VectorSpace(str(metadata["embedder"]), int(metadata["dimension"]))


def metadata_of(fields: Fields) -> dict[str, Any]:
    # Chroma merges new fields into old ones; the JSON text is what counts, the rest is for its filters.
    kept = dict(fields)
    return {"fields": json.dumps(kept), **{f"f.{name}": value for name, value in kept.items()}}


def fields_of(metadata: Any) -> Fields:
    return cast("Fields", json.loads(metadata["fields"]))


def where_of(where: Fields | None) -> dict[str, Any] | None:
    terms = [{f"f.{name}": value} for name, value in (where or {}).items()]
    if not terms:
        return None
    return terms[0] if len(terms) == 1 else {"$and": terms}


def equals(fields: Fields, where: Fields) -> bool:
    return all(fields.get(name) == value for name, value in where.items())


def matching(hits: Sequence[VectorHit], where: Fields | None) -> list[VectorHit]:
    return [hit for hit in hits if equals(hit.fields, where or {})]
