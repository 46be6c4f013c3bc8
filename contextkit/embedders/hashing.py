"""`{kind: hashing}`: words and their parts hashed into a vector; needs nothing, understands nothing.

The hashing trick (Weinberger et al. 2009, arXiv:0902.2206): every feature adds a sign at a place, both
taken from its hash, so that the inner product of two texts is that of their features in expectation.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

_WORD = re.compile(r"\w+")
_PART_LENGTH = 4
_PART_WEIGHT = 0.3


class HashingEmbedder(BaseModel):
    """The last resort: finds texts that share words or beginnings of words, in any language."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "hashing"

    dimension: int = Field(default=512, ge=16, le=65536, description="Length of a vector")
    max_chars: int = Field(default=20_000, ge=100, description="Longer texts are read up to here")

    @property
    def name(self) -> str:
        return f"hashing-{self.dimension}-v1"

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One row a text, of unit length; a row of zeros for a text without words."""
        import numpy as np

        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for feature, weight in _features(text[: self.max_chars].casefold()):
                hashed = _hash(feature)
                row[(hashed >> 1) % self.dimension] += weight if hashed & 1 else -weight
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.maximum(lengths, np.finfo(np.float32).tiny)
        return rows


def _hash(feature: str) -> int:
    """32 bits; a CRC alone gives like words like hashes, so it is stirred (the finish of MurmurHash3)."""
    value = crc32(feature.encode("utf-8", "surrogatepass"))
    value = ((value ^ value >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ value >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return value ^ value >> 16


def _features(text: str) -> Iterator[tuple[str, float]]:
    """Words and their parts of four characters, weighted by how often they come (sublinear)."""
    words = Counter(_WORD.findall(text))
    for word, count in words.items():
        weight = 1 + math.log(count)
        yield word, weight
        if len(word) > _PART_LENGTH:
            padded = f"<{word}>"
            for start in range(len(padded) - _PART_LENGTH + 1):
                yield padded[start : start + _PART_LENGTH], weight * _PART_WEIGHT
