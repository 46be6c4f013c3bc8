"""Blocks put together, or cut, into chunks of about 200 tokens; all chunks in order are the text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from contextkit.documents.blocks import Block
from contextkit.documents.values import Chunk

CHUNK_BYTES = 800
"""About 200 tokens: four bytes of UTF-8 a token, whatever the language."""
SMALL_BYTES = CHUNK_BYTES // 4
"""So little does not stand alone where a new section begins."""
_ENDS = (
    re.compile(r"\n+"),
    re.compile(r"[.!?…](?=\s)\s+|[。！？]\s*"),
    re.compile(r"[;:,، ]\s+|[，、；]"),
    re.compile(r"\s+"),
)
"""Where a block that is too long is cut, best first."""


def chunks_of(blocks: Iterable[Block], size: int = CHUNK_BYTES) -> list[Chunk]:
    """Chunks of at most `size` bytes of UTF-8, numbered; blocks of one place are put together."""
    made: list[Chunk] = []
    text, place, n_bytes = "", "", 0
    for block in _cut(blocks, size):
        length = len(block.text.encode("utf-8"))
        is_new = block.place != place and n_bytes >= SMALL_BYTES
        if text and (is_new or n_bytes + length > size):
            made.append(Chunk(text, place, len(made)))
            text, n_bytes = "", 0
        if not text:
            place = block.place
        text, n_bytes = text + block.text, n_bytes + length
    if text:
        made.append(Chunk(text, place, len(made)))
    return made


def _cut(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    for block in blocks:
        for part in _parts(block.text, size):
            yield Block(part, block.place)


def _parts(text: str, size: int) -> Iterator[str]:
    """Parts of at most `size` bytes, cut at the end of a line, a sentence, a clause, a word."""
    start = 0
    while start < len(text):
        head = text[start : start + size].encode("utf-8")[:size].decode("utf-8", "ignore")
        if start + len(head) < len(text):
            head = head[: _last_end(head)]
        yield head
        start += len(head)


def _last_end(head: str) -> int:
    """Where to cut: the last good end in the second half, or all of it."""
    for end in _ENDS:
        found = [match.end() for match in end.finditer(head)]
        if found and found[-1] > len(head) // 2:
            return found[-1]
    return len(head)
