"""Chunks: all of them are the text, none is too long, sections and fences hold together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents import content_digest, parse_chunk_handle
from contextkit.documents.blocks import Block, markdown_blocks, text_blocks
from contextkit.documents.chunking import CHUNK_BYTES, chunks_of
from contextkit.documents.values import Chunk, Document

PIECES = st.lists(
    st.sampled_from(["# A\n", "## B ##\n", "words and words. ", "\n", "\n\n", "```py\n", "~~~\n",
                     "登机口。", " ", "🛫", "long" * 70, "- item\n", "\r", "\x0b", "\u2028"]),
    max_size=40,
)  # fmt: skip


@given(PIECES, st.integers(4, 200))
def test_chunks_together_are_the_text(pieces: list[str], size: int) -> None:
    text = "".join(pieces)
    for blocks in (list(text_blocks(text)), list(markdown_blocks(text))):
        assert "".join(block.text for block in blocks) == text
        chunks = chunks_of(blocks, size)
        assert "".join(chunk.text for chunk in chunks) == text
        assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
        assert all(0 < len(chunk.text.encode()) <= size for chunk in chunks)


def test_sections_and_fences() -> None:
    text = "Before.\n\n# One\n\nText.\n\n## Two\n\n```\n# no heading\n\nx = 1\n```\nAfter.\n# Three\nEnd"
    assert [(b.place, b.text) for b in markdown_blocks(text)] == [
        ("", "Before.\n\n"),
        ("One", "# One\n\n"),
        ("One", "Text.\n\n"),
        ("One > Two", "## Two\n\n"),
        ("One > Two", "```\n# no heading\n\nx = 1\n```\n"),
        ("One > Two", "After.\n"),
        ("Three", "# Three\nEnd"),
    ]


def test_long_blocks_are_cut_at_sentences_and_small_sections_put_together() -> None:
    sentence = "The gate of the flight to Lisbon was changed again, and nobody knew why. "
    chunks = chunks_of(
        [Block(sentence * 40, "A"), Block("Short.\n", "B"), Block("Shorter.\n", "C")]
    )
    assert all(chunk.text.endswith("why. ") for chunk in chunks[:-1])
    assert sum(len(chunk.text) for chunk in chunks[:4]) / 4 > CHUNK_BYTES * 0.8
    assert chunks[-1].text.endswith("Short.\nShorter.\n")


def test_handles() -> None:
    assert Chunk("x", number=17, document=2).handle == "d2.17"
    assert Document("n", "text/plain", "", number=2).handle == "d2"
    assert parse_chunk_handle("d2.17") == (2, 17)
    assert parse_chunk_handle("d2") == (2, None)
    for other in ("d0", "d01", "d1.01", "d1.", "d", "m1", "d1.2.3", "d１", "d1.2 ", ""):
        assert parse_chunk_handle(other) is None


def test_the_digest_names_type_texts_and_places() -> None:
    made = {
        content_digest("text/plain", [Chunk("ab"), Chunk("c")]),
        content_digest("text/plain", [Chunk("a"), Chunk("bc")]),
        content_digest("text/html", [Chunk("ab"), Chunk("c")]),
        content_digest("text/plain", [Chunk("ab", "p. 1"), Chunk("c")]),
    }
    assert len(made) == 4
    assert content_digest("t", [Chunk("a", number=3, document=9)]) == content_digest(
        "t", [Chunk("a")]
    )
