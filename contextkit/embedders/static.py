"""`{kind: static}`: averaged static word-piece vectors (WordLlama): fast, small, no torch, offline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from contextkit.embedders._batches import batches
from contextkit.embedders._modules import require
from contextkit.native import sayable

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

DIMENSION = 256
BATCH_CHARS = 64 * 1024
"""Characters, the padding among them, that are embedded at once: about 64 MB of vectors."""


class StaticEmbedder(BaseModel):
    """WordLlama's 256 dimensions, from the weights inside its package."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "static"
    extra: ClassVar[str] = "static"
    needs: ClassVar[tuple[str, ...]] = ("wordllama",)

    max_chars: int = Field(default=20_000, ge=100, description="Longer texts are read up to here")

    @property
    def name(self) -> str:
        return f"static-{DIMENSION}-v1"

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One row a text, of unit length; a row of zeros for a text without words."""
        import numpy as np

        rows = np.zeros((len(texts), DIMENSION), np.float32)
        clean = {i: sayable(text[: self.max_chars]) for i, text in enumerate(texts) if text.strip()}
        for batch in batches({i: len(text) for i, text in clean.items()}, BATCH_CHARS):
            rows[batch] = self._model.embed([clean[i] for i in batch], norm=True)
        return rows

    @cached_property
    def _model(self) -> Any:
        library = require("wordllama", kind=self.kind)
        # Its own look-up expects a folder that the wheel does not have, and then tries to download.
        folder = Path(library.__file__).parent
        return library.WordLlama.load(cache_dir=folder, dim=DIMENSION, disable_download=True)
