"""Documents beside the log: what was ingested, cut into chunks that a handle brings back."""

from __future__ import annotations

from contextkit.documents.values import (
    Chunk,
    Document,
    chunk_handle,
    content_digest,
    parse_chunk_handle,
)

__all__ = ["Chunk", "Document", "chunk_handle", "content_digest", "parse_chunk_handle"]
