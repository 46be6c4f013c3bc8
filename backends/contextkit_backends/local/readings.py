"""Texts as a model reads them: what was read stays in the engine's cache, a word is scored behind it.

Whatever is asked at once is read in few passes, readings that go on beside texts that begin; a text is
read in one row with what its reading has to read before it, and only that stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.compression.scoring import Asked, Reading
from contextkit.errors import NotFinite
from contextkit.native import sayable
from contextkit_backends.local.load import require

if TYPE_CHECKING:
    import numpy.typing as npt

    from contextkit_backends.local.engine import Engine

    Reals = npt.NDArray[np.float64]

PASS_LOGITS = 1 << 29
"""Logits of one pass on a GPU; on a CPU a pass is as long as the engine's chunks."""


@dataclass(frozen=True, slots=True)
class Reader:
    """An engine with its tokenizer; `opening` is what stands before every text."""

    engine: Engine
    tokenizer: Any
    opening: int

    def begin(self, asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        """Reads every context and, behind it, every text, which is let go; a GPU may be at it still."""
        readings = _own(asked)
        encoded: list[Any] = self.tokenizer.encode_batch(
            [*(sayable(each.text) for each in asked), *(sayable(each.context) for each in asked)],
            add_special_tokens=False,
        )
        texts, contexts = encoded[: len(asked)], encoded[len(asked) :]
        most = self._pass_tokens
        told: list[Any] = []
        opened: list[Any] = []
        try:
            for reading, context, text in zip(readings, contexts, texts, strict=True):
                told += self._told(reading, context.ids, text.ids, opened, most)
            answers = self._nats(told, most)
        finally:
            self._close(opened)

        def result() -> list[list[float]]:
            found = iter(answers())
            return [
                _by_unit(each.ends, text.offsets, next(found) if text.ids else np.zeros(0))
                for each, text in zip(asked, texts, strict=True)
            ]

        return result

    def _told(
        self,
        reading: LocalReading | None,
        context: list[int],
        text: list[int],
        opened: list[Any],
        most: int,
    ) -> list[Any]:
        """The rows of one question; what is opened for it has to be closed."""
        told: Any = require("contextkit_backends.local.engine.nats").Told
        if reading is None:
            if not text:
                return []
            opened.append(self.open())
            ids = [self.opening, *context, *text[:-1]]
            return [told(opened[-1], ids, text, 0 if len(ids) <= most else None)]
        before = reading.grow(context) if context else []
        if not text:
            return [told(reading.sequence, before)] if before else []
        ids = [*before, *reading.pending, *text[:-1]]
        if len(ids) <= most:
            return [told(reading.sequence, ids, text, len(before))]
        self._nats([told(reading.sequence, before)] if before else [], most)
        with self.engine.lock:
            opened.append(reading.sequence.fork())
        return [told(opened[-1], ids[len(before) :], text)]

    def open(self) -> Any:
        """An empty sequence, whose pages are not published: no other text begins with a part of it."""
        with self.engine.lock:
            sequence = self.engine.open_sequence()
        if self.engine.paged is not None:
            sequence.chain = None
        return sequence

    def _close(self, sequences: Sequence[Any]) -> None:
        with self.engine.lock:
            for sequence in sequences:
                sequence.close()

    def _nats(self, told: Sequence[Any], most: int) -> Callable[[], list[Reals]]:
        """Reads them, `most` tokens at once; what is returned gives the bits of those that tell one."""
        engine: Any = require("contextkit_backends.local.engine.nats")
        order: list[int] = []
        read: list[Any] = []
        for group in engine.passes(told, most):
            whole = told[group[0]]
            if len(group) > 1 or len(whole.token_ids) <= most:
                read.append(self.engine.nats([told[n] for n in group]))
            else:
                cuts = range(0, len(whole.token_ids), most)
                read += [self.engine.nats([whole.part(at, at + most)]) for at in cuts]
                if whole.then:
                    self._close([whole.sequence])
            order += group
        lengths = [len(told[n].then) for n in order]
        if not any(lengths):
            return list
        fetch: Any = require("contextkit_backends.local.kernels.transfer").fetch
        wait = fetch(require("torch").cat(read))

        def result() -> list[Reals]:
            bits: Reals = wait() / math.log(2)
            if not np.isfinite(bits).all():
                raise NotFinite(
                    "the scorer's logits are NaN or infinite; the weights may be broken, or float16 too "
                    "narrow for this model (try dtype=bfloat16)"
                )
            found = dict(zip(order, np.split(bits, np.cumsum(lengths)[:-1]), strict=True))
            return [found[n] for n in range(len(told)) if told[n].then]

        return result

    @property
    def _pass_tokens(self) -> int:
        engine = self.engine
        if engine.model.device.type == "cpu":
            return engine.settings.chunk_tokens
        vocabulary: int = engine.model.get_input_embeddings().num_embeddings
        return max(engine.settings.chunk_tokens, PASS_LOGITS // vocabulary)


@dataclass(eq=False)
class LocalReading(Reading):
    """A sequence of the engine, and the tokens that it is told next: they were said, but not yet read."""

    _reader: Reader
    sequence: Any = field(init=False)
    pending: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.sequence, self.pending = self._reader.open(), [self._reader.opening]

    def grow(self, ids: Sequence[int]) -> list[int]:
        """`ids` were said too; the tokens that have to be read for it."""
        read = [*self.pending, *ids[:-1]]
        self.pending = [ids[-1]]
        return read

    def close(self) -> None:
        """Gives the sequence's pages back."""
        with self._reader.engine.lock:
            self.sequence.close()


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


def _by_unit(ends: Sequence[int], offsets: Sequence[tuple[int, int]], bits: Reals) -> list[float]:
    """Bits of each unit: of the tokens that end in it, for a token begins with the blank before it."""
    if not ends:
        return []
    stops = np.array(ends, dtype=np.int64)
    last = np.fromiter(map(itemgetter(1), offsets), dtype=np.int64, count=len(offsets))
    of = np.minimum(np.searchsorted(stops, last - 1, side="right"), len(ends) - 1)
    found: list[float] = np.bincount(of, weights=bits, minlength=len(ends)).tolist()
    return found
