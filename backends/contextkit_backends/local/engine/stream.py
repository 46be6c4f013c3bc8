"""One endless sequence of tokens: read more of it, branch it, take a stretch out of it."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from contextkit.errors import EngineError, NotFinite
from contextkit_backends.local.engine.batch import Row

if TYPE_CHECKING:
    from contextkit_backends.local.engine.engine import Engine


class Stream:
    """A sequence in an engine's cache. Use it as a context manager, or `close` it: it holds pages.

    Not for several threads at once; streams of one engine may be used from different threads.
    """

    def __init__(
        self, engine: Engine, sequence: Any, name: str, salt: str, first_position: int = 0
    ) -> None:
        self._engine, self.name = engine, name
        self._sequence: Any = sequence
        self._salt = salt
        self._skip_to = first_position
        self._skip()

    def extend(self, token_ids: Items[int], *, every: bool = True) -> Tensor:
        """Read tokens; logits fp32 `[n_new, vocab]`, or `[1, vocab]` of the last one without `every`.

        How the tokens are divided over calls does not change the answer. Without `every`, pages that
        another stream of the same salt filled with the same first tokens are not read again. Raises
        PoolExhausted, and reads nothing, where the tokens do not fit; NotFinite for broken logits.
        """
        try:
            ids = [int(token) for token in token_ids]
        except (TypeError, ValueError) as error:
            raise EngineError(
                f"{self.name}: extend takes token ids, not {token_ids!r:.40}"
            ) from error
        if not ids:
            raise EngineError(f"{self.name}: extend was given no tokens")
        engine, sequence = self._engine, self._alive()
        with engine.lock:
            engine.check_tokens(ids, sequence.n_cached, self.name)
            first = sequence.length
            if engine.paged is None:
                logits = engine.unpaged.read(sequence, ids, every=every)
            else:
                logits = self._extend(ids, every)
        _check_finite(logits, self.name, first if every else sequence.length - 1)
        return logits

    def _extend(self, ids: list[int], every: bool) -> Tensor:
        paged, sequence = self._engine.paged, self._sequence
        assert paged is not None
        if not every and not sequence.length and not self._skip_to:
            ids = ids[paged.prefix.open(sequence, ids, self._salt) :]
        paged.check_room(sequence, len(ids))
        found: list[Tensor] = []
        place = 0
        while place < len(ids):
            room = sequence.head - sequence.length if self._skip_to else paged.settings.chunk_tokens
            part = ids[place : place + min(room, paged.settings.chunk_tokens)]
            logits = paged.step([Row(sequence, part)], every=every)
            self._engine.n_decode_steps += len(part) == 1
            found = [*found, logits] if every else [logits]
            place += len(part)
            self._skip()
        return torch.cat(found)

    def _skip(self) -> None:
        if self._skip_to and self._sequence.length == self._sequence.head:
            self._sequence.skip(self._skip_to)
            self._skip_to = 0

    @property
    def n_cached(self) -> int:
        """Tokens that the next one will see, itself not counted."""
        return int(self._alive().n_cached)

    @property
    def position(self) -> int:
        """The position of the next token in the text: how many were read, evicted ones included."""
        return int(self._alive().length)

    def fork(self) -> Stream:
        """A stream with the same past; pages are shared until one of the two writes on them."""
        with self._engine.lock:
            return Stream(self._engine, self._alive().fork(), self._engine.next_name(), self._salt)

    def fork_sequence(self) -> Any:
        """A sequence with the same past, for the engine's runner."""
        return self._alive().fork()

    def evict(self, start: int, stop: int) -> None:
        """Positions `start … stop - 1` leave the cache: later tokens read on as if they had never been.

        Nothing is computed. What was read in their presence keeps what it took from them.
        """
        with self._engine.lock:
            self._engine.check_evictable()
            self._alive().evict(start, stop)
            self._engine.n_kept += self.position - stop

    def close(self) -> None:
        """Give the pages back; closing again does nothing."""
        if self._sequence is not None:
            with self._engine.lock:
                self._sequence.close()
            self._sequence = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _alive(self) -> Any:
        if self._sequence is None:
            raise EngineError(f"{self.name} is closed")
        return self._sequence


def _check_finite(logits: Tensor, name: str, first: int) -> None:
    broken = ~torch.isfinite(logits).all(dim=-1)
    if bool(broken.any()):
        position = first + int(broken.int().argmax())
        raise NotFinite(
            f"{name}: the logits at position {position} are NaN or infinite; the weights may be broken, "
            "or float16 too narrow for this model (try dtype=bfloat16)"
        )
