"""`{kind: local}` scorer: a causal model in this process tells how many bits words say.

What was read stays in the engine's cache: a word is scored on a branch of it and costs its own tokens.
Whatever is asked at once is read in few passes, readings that go on beside texts that begin. The engine
keeps sinks and a window, so a reading has no end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from contextkit.compression.scoring import Asked
from contextkit.errors import NotFinite
from contextkit_backends.local.load import find_folder, quick_dtype, read_json, require
from contextkit_backends.local.tokenizer import read_tokenizer_json

if TYPE_CHECKING:
    import numpy.typing as npt

    from contextkit_backends.local.engine import Engine

_loading = Lock()
_engines: dict[str, Loaded] = {}
READINGS = {"cpu": 8, "cuda": 256}
"""Texts that are worth reading side by side."""
ROOM_TOKENS = 1024
"""What a reading needs beside its window: sinks, a segment, pages begun."""
PASS_LOGITS = 1 << 28
"""Logits of one pass on a GPU; on a CPU a pass is as long as the engine's chunks."""


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
        fit = paged.pages.n_pages * paged.settings.page_tokens // (2 * (self.window + ROOM_TOKENS))
        return max(1, min(READINGS.get(paged.model.device.type, 1), fit))

    def open(self) -> LocalReading:
        """A reading of nothing so far. Raises `ConfigError` where the model can't be loaded."""
        return LocalReading(_loaded(self))

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Bits of the units of several texts, each behind its own context and reading.

        Raises `NotFinite` for broken weights, `PoolExhausted`, `ConfigError`.
        """
        return _loaded(self).score(asked)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine with its tokenizer; `opening` is what stands before every text."""

    engine: Engine
    tokenizer: Any
    opening: int

    def score(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Reads every context, then every text on a branch that is let go."""
        texts = self._encode([each.text for each in asked])
        contexts = self._encode([each.context for each in asked])
        readings = _own(asked)
        told: Any = require("contextkit_backends.local.engine.nats").Told
        self._nats(
            [
                told(reading.sequence, reading.grow(context.ids))
                for reading, context in zip(readings, contexts, strict=True)
                if reading is not None and context.ids
            ]
        )
        branches: list[Any] = []
        with self.engine.lock:
            for reading, context, text in zip(readings, contexts, texts, strict=True):
                past = [self.opening, *context.ids] if reading is None else reading.pending
                if text.ids:
                    branch = self.open() if reading is None else reading.sequence.fork()
                    branches.append(told(branch, [*past, *text.ids[:-1]], text.ids))
        found = iter(self._nats(branches, closes=True))
        return [
            _by_unit(each.ends, text.offsets, next(found) if text.ids else np.zeros(0))
            for each, text in zip(asked, texts, strict=True)
        ]

    def open(self) -> Any:
        """An empty sequence, whose pages are not published: no other text begins with a part of it."""
        with self.engine.lock:
            sequence = self.engine.open_sequence()
        if self.engine.paged is not None:
            sequence.chain = None
        return sequence

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        found: list[Any] = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return found

    def _nats(self, told: Sequence[Any], *, closes: bool = False) -> list[Any]:
        """-log p of what each says, as arrays; the sequences are closed behind their pass if so said."""
        engine: Any = require("contextkit_backends.local.engine.nats")
        most = self._pass_tokens
        read: list[tuple[list[int], Any]] = []
        try:
            for group in engine.passes(told, most):
                if len(group) > 1 or len(told[group[0]].token_ids) <= most:
                    read.append((group, self.engine.nats([told[n] for n in group])))
                else:
                    whole = told[group[0]]
                    cuts = range(0, len(whole.token_ids), most)
                    parts = [self.engine.nats([whole.part(at, at + most)]) for at in cuts]
                    read.append((group, require("torch").cat(parts)))
                if closes:
                    self._close(told[n].sequence for n in group)
        finally:
            if closes:
                self._close(one.sequence for one in told)
        return _in_order(read, told)

    def _close(self, sequences: Any) -> None:
        with self.engine.lock:
            for sequence in sequences:
                sequence.close()

    @property
    def _pass_tokens(self) -> int:
        engine = self.engine
        if engine.model.device.type == "cpu":
            return engine.settings.chunk_tokens
        vocabulary: int = engine.model.get_input_embeddings().num_embeddings
        return max(engine.settings.chunk_tokens, PASS_LOGITS // vocabulary)


@dataclass(eq=False)
class LocalReading:
    """A sequence of the engine, and the tokens that it is told next: they were said, but not yet read."""

    _loaded: Loaded
    sequence: Any = field(init=False)
    pending: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.sequence, self.pending = self._loaded.open(), [self._loaded.opening]

    def grow(self, ids: Sequence[int]) -> list[int]:
        """`ids` were said too; the tokens that have to be read for it."""
        read = [*self.pending, *ids[:-1]]
        self.pending = [ids[-1]]
        return read

    def close(self) -> None:
        """Gives the sequence's pages back."""
        with self._loaded.engine.lock:
            self.sequence.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _own(asked: Sequence[Asked]) -> list[LocalReading | None]:
    """The readings, each of this kind of scorer and there once."""
    found: list[LocalReading | None] = []
    for reading in (each.reading for each in asked):
        if reading is not None and not isinstance(reading, LocalReading):
            raise TypeError(f"score_many: {type(reading).__name__} is a reading of another scorer")
        found.append(reading)
    kept = [reading for reading in found if reading is not None]
    if len({*map(id, kept)}) < len(kept):
        raise ValueError("score_many: a reading stands in one question at a time")
    return found


def _loaded(scorer: LocalScorer) -> Loaded:
    """The engine of a scorer, loaded once a process for equal settings."""
    key = scorer.model_dump_json()
    with _loading:
        if key not in _engines:
            _engines[key] = _load(scorer)
        return _engines[key]


def _load(scorer: LocalScorer) -> Loaded:
    require("torch")
    kind: type[Engine] = require("contextkit_backends.local.engine").Engine
    engine = kind.load(
        scorer.model,
        device=scorer.device,
        dtype=quick_dtype(scorer.device) if scorer.dtype == "auto" else scorer.dtype,
        window=scorer.window,
        threads=scorer.threads,
    )
    folder = find_folder(scorer.model)
    tokenizer: Any = require("tokenizers").Tokenizer.from_str(read_tokenizer_json(folder))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    opening = read_json(folder / "config.json").get("bos_token_id")
    return Loaded(engine, tokenizer, opening if isinstance(opening, int) else min(engine.eos))


def _in_order(read: Sequence[tuple[list[int], Any]], told: Sequence[Any]) -> list[Any]:
    """The passes' answers, one array for each that was told, bits."""
    found: list[Any] = [None] * len(told)
    if not read:
        return found
    whole: Any = require("torch").cat([nats for _, nats in read])
    bits = whole.cpu().numpy() / math.log(2)
    if not np.isfinite(bits).all():
        raise NotFinite(
            "the scorer's logits are NaN or infinite; the weights may be broken, or float16 too narrow "
            "for this model (try dtype=bfloat16)"
        )
    at = 0
    for group, _ in read:
        for n in group:
            found[n] = bits[at : at + len(told[n].then)]
            at += len(told[n].then)
    return found


def _by_unit(
    ends: Sequence[int], offsets: Sequence[tuple[int, int]], bits: npt.NDArray[np.float64]
) -> list[float]:
    """Bits of each unit: of the tokens that end in it, for a token begins with the blank before it."""
    if not ends:
        return []
    stops = np.array(ends, dtype=np.int64)
    last = np.fromiter(map(itemgetter(1), offsets), dtype=np.int64, count=len(offsets))
    of = np.minimum(np.searchsorted(stops, last - 1, side="right"), len(ends) - 1)
    found: list[float] = np.bincount(of, weights=bits, minlength=len(ends)).tolist()
    return found
