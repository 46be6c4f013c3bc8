"""`{kind: hashing}`: words and their parts hashed into a vector; needs nothing, understands nothing.

The hashing trick (Weinberger et al. 2009, arXiv:0902.2206): every feature adds a sign at a place, both
taken from its hash, so that the inner product of two texts is that of their features in expectation.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
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
        """One row a text, of unit length; a row of zeros for a text without words.

        Words and their parts are weighted by how often they come, sublinearly.
        """
        import numpy as np

        hashes, weights, counts = array("I"), array("d"), array("q")
        for text in texts:
            before = len(hashes)
            for word, count in Counter(_WORD.findall(text[: self.max_chars].casefold())).items():
                own = _hashes(word)
                weight = 1 + math.log(count)
                hashes += own
                weights.append(weight)
                weights += array("d", (weight * _PART_WEIGHT,)) * (len(own) - 1)
            counts.append(len(hashes) - before)
        hashed = np.array(hashes, dtype=np.int64)
        signed = np.array(weights, dtype=np.float32) * np.where(hashed & 1, 1, -1).astype(
            np.float32
        )
        row = np.repeat(np.arange(len(texts)), counts)
        rows = np.zeros((len(texts), self.dimension), np.float32)
        np.add.at(rows, (row, (hashed >> 1) % self.dimension), signed)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.maximum(lengths, np.finfo(np.float32).tiny)
        return rows


def _hash(feature: str) -> int:
    """32 bits; a CRC alone gives like words like hashes, so it is stirred (the finish of MurmurHash3)."""
    value = crc32(feature.encode("utf-8", "surrogatepass"))
    value = ((value ^ value >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ value >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return value ^ value >> 16


@lru_cache(maxsize=16_384)
def _hashes(word: str) -> array[int]:
    """Of a word and of its parts of four characters."""
    found = array("I", (_hash(word),))
    if len(word) > _PART_LENGTH:
        padded = f"<{word}>"
        starts = range(len(padded) - _PART_LENGTH + 1)
        found.extend(_hash(padded[start : start + _PART_LENGTH]) for start in starts)
    return found
