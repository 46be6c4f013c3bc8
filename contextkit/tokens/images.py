"""What an image costs: its size read from the first bytes of the file, then the provider's formula.

PNG, JPEG, GIF and WebP are read; of anything else, and of an image behind a URL, the size stays
unknown.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass

from contextkit.messages import ImagePart

Size = tuple[int, int]
"""Width and height in pixels."""

_HEADER_BASE64_CHARACTERS = 1 << 18
"""Enough to get past the metadata that cameras put before a JPEG's size."""


@dataclass(frozen=True, slots=True)
class ImageCost:
    """Tokens of one image, and the most it may cost where its size is unknown."""

    tokens: int
    upper: int


@dataclass(frozen=True, slots=True)
class OpenAITiles:
    """OpenAI's tile formula and its two prices; the defaults are those of gpt-4o, 4.1 and 4.5.

    https://platform.openai.com/docs/guides/images-vision: scale into 2048 x 2048, then the short
    side to 768, then count tiles of 512; `detail: low` costs the base alone.
    """

    base: int = 85
    tile: int = 170

    def cost(self, image: ImagePart) -> ImageCost:
        """The cost of `image`; unknown sizes may need up to eight tiles."""
        if image.detail == "low":
            return ImageCost(self.base, self.base)
        size = image_size(image.data)
        if size is None:
            return ImageCost(self.base + 4 * self.tile, self.base + 8 * self.tile)
        tokens = self.base + _tiles(size) * self.tile
        return ImageCost(tokens, tokens)


def _tiles(size: Size) -> int:
    width, height = size
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return max(1, math.ceil(width * scale / 512)) * max(1, math.ceil(height * scale / 512))


ANTHROPIC_MAX_TOKENS = 1_600


def anthropic_cost(image: ImagePart) -> ImageCost:
    """Anthropic's rule: width * height / 750, larger images are scaled down to about 1,600 tokens.

    https://docs.anthropic.com/en/docs/build-with-claude/vision
    """
    size = image_size(image.data)
    if size is None:
        return ImageCost(ANTHROPIC_MAX_TOKENS, ANTHROPIC_MAX_TOKENS)
    tokens = min(ANTHROPIC_MAX_TOKENS, math.ceil(size[0] * size[1] / 750))
    return ImageCost(tokens, tokens)


def image_size(data: str | None) -> Size | None:
    """Width and height of base64 image data, or None where they cannot be read."""
    if not data:
        return None
    head = "".join(data[:_HEADER_BASE64_CHARACTERS].split())
    try:
        raw = base64.b64decode(head[: len(head) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    size = _png(raw) or _gif(raw) or _webp(raw) or _jpeg(raw)
    return size if size and min(size) > 0 else None


def _png(raw: bytes) -> Size | None:
    if raw[:8] != b"\x89PNG\r\n\x1a\n" or len(raw) < 24:
        return None
    return int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")


def _gif(raw: bytes) -> Size | None:
    if raw[:6] not in (b"GIF87a", b"GIF89a") or len(raw) < 10:
        return None
    return int.from_bytes(raw[6:8], "little"), int.from_bytes(raw[8:10], "little")


def _webp(raw: bytes) -> Size | None:
    """The three forms of WebP: lossy, lossless and extended (RFC 9649, section 2)."""
    if raw[:4] != b"RIFF" or raw[8:12] != b"WEBP" or len(raw) < 30:
        return None
    if raw[12:16] == b"VP8 ":
        width, height = (int.from_bytes(raw[at : at + 2], "little") for at in (26, 28))
        return width & 0x3FFF, height & 0x3FFF
    if raw[12:16] == b"VP8L":
        bits = int.from_bytes(raw[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(raw[at : at + 3], "little") for at in (24, 27))
    return width + 1, height + 1


def _jpeg(raw: bytes) -> Size | None:
    """The size stands in the first start-of-frame segment; the segments before it are skipped."""
    if raw[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(raw[i : i + 2], "big") for i in (at + 5, at + 7))
            return width, height
        at += 1 if marker == 0xFF else 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return None
