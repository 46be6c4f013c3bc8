"""`{kind: local}` scorer: a causal model in this process tells how many bits words say.

A reading keeps sinks and a window in the engine's cache, so it has no end; see `readings`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from contextkit.compression.scoring import Asked
from contextkit_backends.local.load import find_folder, quick_dtype, read_json, require
from contextkit_backends.local.readings import LocalReading, Reader
from contextkit_backends.local.tokenizer import read_tokenizer_json

if TYPE_CHECKING:
    from contextkit_backends.local.engine import Engine

_loading = Lock()
_engines: dict[str, Reader] = {}
READINGS = {"cpu": 8, "cuda": 256}
"""Texts that are worth reading side by side."""
ROOM_TOKENS = 1024
"""What a reading needs beside its window: sinks, a segment, pages begun."""
ENOUGH = {"cuda": 220_000}
"""Characters of English that about fill a pass of the shipped model: fewer are not worth a launch."""


class LocalScorer(BaseModel):
    """A checkpoint as scorer; the smaller the faster, and it need not be the one that answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "local"

    model: str = Field(
        default="pocket", description="A shipped model, a folder, a Hugging Face name"
    )
    device: str = Field(default="auto", description="`auto`, or a torch device")
    dtype: str = Field(
        default="auto",
        description="A torch dtype; `auto`: bfloat16 where products in it are fast, or else float32",
    )
    window: int = Field(
        default=1024, ge=64, description="Tokens of what was read that are looked at"
    )
    threads: int | None = Field(default=None, ge=1, description="Threads of a CPU")

    @property
    def at_once(self) -> int:
        """How many texts are worth asking about side by side: as many as there are pages for, at most."""
        paged = _loaded(self).engine.paged
        if paged is None:
            return 1
        fit = paged.pages.n_pages * paged.settings.page_tokens // self._reading_tokens
        return max(1, min(READINGS.get(paged.model.device.type, 1), fit))

    @property
    def _reading_tokens(self) -> int:
        """Of the cache for a text that is read, and for what is scored behind it."""
        return 2 * (self.window + ROOM_TOKENS)

    @property
    def most_pool_tokens(self) -> int:
        """What the cache takes at the most: room for as many texts as are read side by side."""
        return self._reading_tokens * max(READINGS.values())

    def open(self) -> LocalReading:
        """A reading of nothing so far. Raises `ConfigError` where the model can't be loaded."""
        return LocalReading(_loaded(self))

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Bits of the units of several texts, each behind its own context and reading.

        Raises `NotFinite` for broken weights, `PoolExhausted`, `ConfigError`.
        """
        return self.begin(asked)()

    @property
    def enough(self) -> int:
        """Characters that are asked about without waiting for more: a CPU has nothing to do meanwhile."""
        return ENOUGH.get(_loaded(self).engine.model.device.type, sys.maxsize)

    def begin(self, asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        """Asks, as `score_many` does; what is returned waits for the answers."""
        return _loaded(self).begin(asked)


def _loaded(scorer: LocalScorer) -> Reader:
    """The engine of a scorer, loaded once a process for equal settings."""
    key = scorer.model_dump_json()
    with _loading:
        if key not in _engines:
            _engines[key] = _load(scorer)
        return _engines[key]


def _load(scorer: LocalScorer) -> Reader:
    require("torch")
    kind: type[Engine] = require("contextkit_backends.local.engine").Engine
    engine = kind.load(
        scorer.model,
        device=scorer.device,
        dtype=quick_dtype(scorer.device) if scorer.dtype == "auto" else scorer.dtype,
        window=scorer.window,
        most_pool_tokens=scorer.most_pool_tokens,
        threads=scorer.threads,
    )
    folder = find_folder(scorer.model)
    tokenizer: Any = require("tokenizers").Tokenizer.from_str(read_tokenizer_json(folder))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    opening = read_json(folder / "config.json").get("bos_token_id")
    return Reader(engine, tokenizer, opening if isinstance(opening, int) else min(engine.eos))
