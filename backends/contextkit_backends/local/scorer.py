"""`{kind: local}` scorer: a causal model in this process tells how many bits words say.

What was read stays in the engine's cache: a word is scored on a branch of it and costs its own tokens.
Short texts are read several in one pass. The engine keeps sinks and a window, so a reading has no end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from contextkit.compression.scoring import Asked
from contextkit.compression.spans import Word
from contextkit_backends.local.load import find_folder, read_json, require
from contextkit_backends.local.tokenizer import read_tokenizer_json

if TYPE_CHECKING:
    from torch import Tensor

    from contextkit_backends.local.engine import Engine, Stream

_loading = Lock()
_engines: dict[str, Loaded] = {}


class LocalScorer(BaseModel):
    """A checkpoint as scorer; the smaller the faster, and it need not be the one that answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "local"

    model: str = Field(
        default="pocket", description="A shipped model, a folder, a Hugging Face name"
    )
    device: str = Field(default="auto", description="`auto`, or a torch device")
    dtype: str = Field(default="auto", description="`auto`, or a torch dtype")
    window: int = Field(
        default=1024, ge=64, description="Tokens of what was read that are looked at"
    )
    threads: int | None = Field(default=None, ge=1, description="Threads of a CPU")

    def open(self) -> LocalReading:
        """A reading of nothing so far. Raises `ConfigError` where the model can't be loaded."""
        return LocalReading(_loaded(self))

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Bits of the units of several texts, each behind its own context; short ones in one pass."""
        loaded = _loaded(self)
        found: list[list[float]] = [[] for _ in asked]
        jobs = [loaded.job(each) for each in asked]
        order = sorted(range(len(jobs)), key=lambda i: len(jobs[i].ids))
        for group in _groups(order, jobs, loaded.engine.settings.chunk_tokens):
            for index, bits in zip(group, loaded.run([jobs[i] for i in group]), strict=True):
                found[index] = _by_unit(asked[index].units, jobs[index].ends, bits)
        return found


@dataclass(frozen=True, slots=True)
class Job:
    """Ids to read, of which those from `first` on are scored; where these end in their text."""

    ids: Sequence[int]
    first: int
    ends: Sequence[int]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine with its tokenizer; `opening` is what stands before every text."""

    engine: Engine
    tokenizer: Any
    opening: int

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """Ids, and where in the text each ends."""
        made = self.tokenizer.encode(text, add_special_tokens=False)
        return list(made.ids), [end for _, end in made.offsets]

    def job(self, asked: Asked) -> Job:
        """One text behind its context."""
        before = self.encode(asked.context)[0] if asked.context else []
        ids, ends = self.encode(asked.text)
        return Job([self.opening, *before, *ids], 1 + len(before), ends)

    def run(self, jobs: Sequence[Job]) -> list[list[float]]:
        """Bits of what each job asks for."""
        paged = self.engine.paged
        if len(jobs) > 1 and paged is not None and min(len(job.ids) for job in jobs) > 1:
            return self._run_together(jobs, paged)
        return [self._run_alone(job) for job in jobs]

    def _run_alone(self, job: Job) -> list[float]:
        if not job.ends:
            return []
        with self.engine.stream() as stream:
            if job.first > 1:
                stream.extend(job.ids[: job.first - 1], every=False)
            logits = stream.extend(job.ids[job.first - 1 :])
        return _bits(logits[:-1], job.ids[job.first :])

    def _run_together(self, jobs: Sequence[Job], paged: Any) -> list[list[float]]:
        row: Any = require("contextkit_backends.local.engine.batch").Row
        sequences = [paged.open() for _ in jobs]
        try:
            with self.engine.lock:
                rows = [row(s, job.ids) for s, job in zip(sequences, jobs, strict=True)]
                logits = paged.step(rows, every=True)
        finally:
            for sequence in sequences:
                sequence.close()
        found: list[list[float]] = []
        at = 0
        for job in jobs:
            own = logits[at + job.first - 1 : at + len(job.ids) - 1]
            found.append(_bits(own, job.ids[job.first :]) if job.ends else [])
            at += len(job.ids)
        return found


class LocalReading:
    """A stream of the engine, and what it expects next."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._stream: Stream = loaded.engine.stream()
        self._expected: Tensor = self._stream.extend([loaded.opening], every=False)

    def score(self, text: str, units: Sequence[Word]) -> list[float]:
        """Bits of each unit of `text` behind what was read; reads nothing."""
        ids, ends = self._loaded.encode(text)
        if not ids:
            return [0.0] * len(units)
        torch = require("torch")
        with self._stream.fork() as branch:
            logits = torch.cat([self._expected, branch.extend(ids)[:-1]])
        return _by_unit(units, ends, _bits(logits, ids))

    def read(self, text: str) -> None:
        """What comes is behind this."""
        ids, _ = self._loaded.encode(text)
        if ids:
            self._expected = self._stream.extend(ids, every=False)

    def close(self) -> None:
        """Gives the stream's pages back."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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
        dtype=scorer.dtype,
        window=scorer.window,
        threads=scorer.threads,
    )
    folder = find_folder(scorer.model)
    tokenizer: Any = require("tokenizers").Tokenizer.from_str(read_tokenizer_json(folder))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    opening = read_json(folder / "config.json").get("bos_token_id")
    return Loaded(engine, tokenizer, opening if isinstance(opening, int) else min(engine.eos))


def _groups(order: Sequence[int], jobs: Sequence[Job], most: int) -> list[list[int]]:
    """Jobs that are read in one pass: together at most so many tokens, or one alone."""
    groups: list[list[int]] = []
    spent = 0
    for index in order:
        n = len(jobs[index].ids)
        if not groups or spent + n > most:
            groups.append([])
            spent = 0
        groups[-1].append(index)
        spent += n
    return groups


def _bits(logits: Tensor, ids: Sequence[int]) -> list[float]:
    """Bits of each id under the logits before it."""
    torch = require("torch")
    wanted = torch.tensor(list(ids), device=logits.device)
    nats: Any = logits.logsumexp(-1) - logits.gather(-1, wanted[:, None])[:, 0]
    bits: list[float] = (nats / math.log(2)).tolist()
    return bits


def _by_unit(units: Sequence[Word], ends: Sequence[int], bits: Sequence[float]) -> list[float]:
    """Bits of each unit: of the tokens that end in it, for a token begins with the blank before it."""
    found = [0.0] * len(units)
    stops = [unit.stop for unit in units]
    for end, bit in zip(ends, bits, strict=True):
        found[min(bisect_right(stops, end - 1), len(units) - 1)] += bit
    return found
