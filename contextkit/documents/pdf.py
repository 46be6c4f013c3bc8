"""PDF as blocks: the text of its pages, each block with its page."""

from __future__ import annotations

import io
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from contextkit.documents.blocks import Block, text_blocks
from contextkit.documents.html import require
from contextkit.documents.kinds import clean
from contextkit.errors import InvalidDocument

MAX_PAGES = 20_000


def pdf_blocks(data: bytes, name: str) -> tuple[str, list[Block]]:
    """The title, and the blocks of all pages.

    Raises `InvalidDocument` where it is no readable PDF, needs a password or has no text.
    """
    pypdf = require("pypdf")
    try:
        with _quiet():
            reader = pypdf.PdfReader(io.BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):
                raise InvalidDocument(f"{name}: the PDF needs a password; save a copy without one")
            title, blocks = _read(reader)
    except InvalidDocument:
        raise
    except Exception as error:
        # pypdf lets many kinds of errors out where a file is broken.
        raise InvalidDocument(
            f"{name}: its content begins as a PDF and cannot be read as one "
            f"({type(error).__name__}: {error})"
        ) from error
    if not any(block.text.strip() for block in blocks):
        raise InvalidDocument(
            f"{name}: the PDF has no text in it, only images perhaps; recognise its text first"
        )
    return title, blocks


def _read(reader: Any) -> tuple[str, list[Block]]:
    blocks: list[Block] = []
    for number, page in enumerate(reader.pages[:MAX_PAGES], 1):
        text = clean(page.extract_text() or "")
        blocks += text_blocks(text.rstrip("\n") + "\n\n" if text.strip() else "", f"p. {number}")
    title = (reader.metadata.title if reader.metadata else None) or ""
    return clean(str(title)), blocks


@contextmanager
def _quiet() -> Generator[None]:
    """What pypdf has to say about a broken file goes into the error, not onto the terminal."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
