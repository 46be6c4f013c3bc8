"""From a path, bytes or text to a document with its chunks."""

from __future__ import annotations

from pathlib import Path

from contextkit.documents.blocks import Block, markdown_blocks, text_blocks
from contextkit.documents.chunking import chunks_of
from contextkit.documents.html import html_blocks
from contextkit.documents.kinds import HTML, MARKDOWN, PDF, clean, decode, sniff
from contextkit.documents.pdf import pdf_blocks
from contextkit.documents.values import Chunk, Document, content_digest
from contextkit.errors import InvalidDocument

MAX_BYTES = 64 * 1024 * 1024
LONGEST_PATH = 4096


def read(source: str | Path | bytes, *, name: str | None = None) -> tuple[Document, list[Chunk]]:
    """The document and its chunks, not stored yet.

    A string of one line that names a file is read as a path, any other string is the text. Raises
    `InvalidDocument` where there is nothing to read, or not what its name says.
    """
    _check_kinds(source, name)
    path = _path(source)
    if path is not None:
        data = _load(path)
    else:
        data = source if isinstance(source, bytes) else clean(str(source)).encode("utf-8")
    called = name or (path.name if path else "text")
    if len(data) > MAX_BYTES:
        raise InvalidDocument(
            f"{called}: {len(data):,} bytes, at most {MAX_BYTES:,} are ingested at once; split it"
        )
    media_type = sniff(data, path.name if path else called)
    title, blocks = _blocks(data, media_type, called)
    chunks = chunks_of(blocks)
    if not any(chunk.text.strip() for chunk in chunks):
        raise InvalidDocument(f"{called}: there is no text in it")
    shown = name or (path.name if path else title or called)
    document = Document(
        name=clean(shown),
        media_type=media_type,
        digest=content_digest(media_type, chunks),
        source=clean(str(path)) if path else "",
        n_chunks=len(chunks),
    )
    return document, chunks


def _check_kinds(source: object, name: object) -> None:
    if not isinstance(source, str | bytes | Path):
        raise InvalidDocument(
            f"ingest: takes a path, text or bytes, not {type(source).__name__}; read it first"
        )
    if not isinstance(name, str | None):
        raise InvalidDocument(
            f"ingest(name=…): {name!r} is no text but of type {type(name).__name__}"
        )


def _path(source: str | Path | bytes) -> Path | None:
    if isinstance(source, Path):
        return source
    if isinstance(source, bytes) or len(source) > LONGEST_PATH or "\n" in source or "\0" in source:
        return None
    try:
        return Path(source) if Path(source).is_file() else None
    except (OSError, ValueError):
        return None


def _load(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidDocument(
                f"{path}: {path.stat().st_size:,} bytes, at most {MAX_BYTES:,} are ingested at once"
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"{path}: cannot be read ({error.strerror})") from error


def _blocks(data: bytes, media_type: str, name: str) -> tuple[str, list[Block]]:
    if media_type == PDF:
        return pdf_blocks(data, name)
    text = decode(data, name)
    if media_type == HTML:
        return html_blocks(text)
    return "", list(markdown_blocks(text) if media_type == MARKDOWN else text_blocks(text))
