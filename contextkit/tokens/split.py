"""Long texts cut into chunks that a tokenizer takes in its stride.

tiktoken 0.14 panics on a million spaces in a row (its pattern engine overflows its stack). Chunks
of at most 32,768 characters stay far from that and cost nothing in speed.
"""

from __future__ import annotations

from collections.abc import Iterator

CHUNK_CHARACTERS = 32_768
HARD_CUT_TOKENS = 2
"""By how much the count of a text may be off for each cut that had to go through a line."""


def chunks(text: str, limit: int = CHUNK_CHARACTERS) -> Iterator[str]:
    """Pieces of `text`, in order, of at most `limit` characters.

    A cut after a line break and before neither white space nor a slash is where cl100k_base and
    o200k_base cut anyway, so the counts of such pieces add up exactly. Only where `limit`
    characters have no such place does a cut go through a line; it may cost `HARD_CUT_TOKENS`.
    """
    start, end = 0, len(text)
    while end - start > limit:
        cut = _safe_cut(text, start, start + limit) or start + limit
        yield text[start:cut]
        start = cut
    yield text[start:]


def n_hard_cuts(text: str, limit: int = CHUNK_CHARACTERS) -> int:
    """How many cuts of `chunks` go through a line."""
    start, n = 0, 0
    while len(text) - start > limit:
        cut = _safe_cut(text, start, start + limit)
        n += cut is None
        start = cut or start + limit
    return n


def _safe_cut(text: str, start: int, stop: int) -> int | None:
    """The last place in `text[start + 1 : stop]` where a line begins with a solid character."""
    cut = stop
    while (cut := text.rfind("\n", start, cut - 1) + 1) > start:
        if not text[cut].isspace() and text[cut] != "/":
            return cut
    return None
