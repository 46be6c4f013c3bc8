"""Sizes from image headers, the providers' formulas, and what files cost."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.messages import FilePart, ImagePart, Message, OpaquePart, ReasoningPart
from contextkit.tokens import EstimatingCounter, TiktokenCounter
from contextkit.tokens.images import ImageCost, OpenAITiles, anthropic_cost, image_size

OPENAI = OpenAITiles()


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x06\0\0\0"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0"


def jpeg(width: int, height: int) -> bytes:
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF" + bytes(10)
    tables = b"\xff\xc4" + struct.pack(">H", 6) + bytes(4)
    frame = b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(10)
    return b"\xff\xd8" + application + tables + frame


def webp_lossy(width: int, height: int) -> bytes:
    frame = bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0" + frame


def webp_lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", bits) + bytes(8)


def webp_extended(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0" + bytes(4) + sizes


WRITERS = [png, gif, jpeg, webp_lossy, webp_lossless, webp_extended]


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (1024, 4096)])
def test_sizes_are_read(write: object, size: tuple[int, int]) -> None:
    assert callable(write)
    assert image_size(encoded(write(*size))) == size


@given(st.binary(max_size=64) | st.sampled_from([w(5, 7)[:n] for w in WRITERS for n in range(24)]))
def test_damaged_images_have_no_size_and_still_a_cost(raw: bytes) -> None:
    image = ImagePart(data=encoded(raw))
    size = image_size(image.data)
    assert size is None or min(size) > 0
    for cost in (OPENAI.cost(image), anthropic_cost(image)):
        assert 0 < cost.tokens <= cost.upper


def test_data_that_is_not_base64() -> None:
    assert image_size("%%%") is None
    assert image_size("") is None


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((1024, 1024), 765), ((2048, 4096), 1105), ((512, 512), 255), ((10, 10), 255)],
)
def test_openai_tiles(size: tuple[int, int], tokens: int) -> None:
    assert OPENAI.cost(ImagePart(data=encoded(png(*size)))) == ImageCost(tokens, tokens)


def test_openai_detail_low_and_unknown_size() -> None:
    assert OPENAI.cost(ImagePart(url="https://example.org/x", detail="low")) == ImageCost(85, 85)
    assert OPENAI.cost(ImagePart(url="https://example.org/x")).upper == 85 + 8 * 170


def test_no_size_needs_more_than_the_unknown_one() -> None:
    ceiling = OPENAI.cost(ImagePart(url="https://example.org/x")).upper
    for width in (1, 512, 513, 768, 1024, 2048, 9000):
        for height in (1, 512, 513, 768, 1024, 2048, 9000):
            assert OPENAI.cost(ImagePart(data=encoded(png(width, height)))).upper <= ceiling


def test_anthropic_images() -> None:
    assert anthropic_cost(ImagePart(data=encoded(png(750, 100)))) == ImageCost(100, 100)
    assert anthropic_cost(ImagePart(data=encoded(png(9000, 9000)))) == ImageCost(1600, 1600)


def test_files() -> None:
    counter = TiktokenCounter()
    pdf = encoded(b"%PDF-1.4 /Type /Pages /Type /Page /Type/Page ")
    text = encoded(b"plain words")
    parts = {
        "pages": FilePart(data=pdf, media_type="application/pdf"),
        "text": FilePart(data=text, media_type="text/plain", filename="a.txt"),
        "bytes": FilePart(data=encoded(bytes(100_000)), media_type="application/pdf"),
        "broken": FilePart(data="%%%", media_type="text/plain"),
        "unseen": FilePart(file_id="file-1"),
    }
    measured = {k: counter.measure(Message("user", (part,))) for k, part in parts.items()}
    assert measured["pages"] == (4 + 2 * 2_250, 4 + 2 * 4_600)
    assert measured["text"][0] == 4 + counter.count("a.txt") + 2
    assert measured["bytes"][1] == 4 + 25_000
    assert measured["broken"][0] > 4
    assert measured["unseen"][1] > measured["unseen"][0]


def test_opaque_blocks_and_redacted_reasoning() -> None:
    block = OpaquePart("anthropic", {"type": "new_block", "words": "some words"})
    assert TiktokenCounter().measure(Message("assistant", (block,)))[0] > 10
    counter = EstimatingCounter("anthropic", "anthropic")
    hidden = Message("assistant", (ReasoningPart(signature="x" * 500, redacted=True),))
    assert 100 <= counter.tokens(counter.measure(hidden)) < counter.upper(counter.measure(hidden))
