"""A model over the page pool: opens sequences, reads batches of their new tokens.

Everything that a forward pass needs is reserved before it and committed after it; where it fails, the
reservations of its rows are given back and other sequences are as they were.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence as Items
from dataclasses import replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from contextkit.errors import EngineError, PoolExhausted
from contextkit_backends.local.engine.adapter import Adapted
from contextkit_backends.local.engine.attention import PagedForward
from contextkit_backends.local.engine.batch import Batch, Row, joined, make_batch, reserve
from contextkit_backends.local.engine.cache import PagedCache
from contextkit_backends.local.engine.context import running
from contextkit_backends.local.engine.nats import Told, nats
from contextkit_backends.local.engine.pool import KVPool, LayerShape, choose_size
from contextkit_backends.local.engine.prefix import PrefixIndex
from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.engine.settings import EngineSettings

SEQUENCES = 32
"""Sequences at once that a packed pool has full-precision pages for."""


class Paged:
    """The adapted model with its pool, its pages and the index of shared prefixes."""

    fallback = ""

    def __init__(
        self, adapted: Adapted, settings: EngineSettings, identity: dict[str, Any]
    ) -> None:
        self.adapted, self.settings = adapted, settings
        self.model = adapted.model
        shapes = [LayerShape(x.n_kv_heads, x.key_dim, x.value_dim) for x in adapted.layers]
        where = {"dtype": self.model.dtype, "device": self.model.device}
        size = choose_size(
            shapes,
            page_tokens=settings.page_tokens,
            packed=settings.kv == "int4-int8",
            pool_tokens=settings.pool_tokens,
            most_pool_tokens=settings.most_pool_tokens,
            working_tokens=_working_tokens(settings),
            **where,
        )
        short_tokens = settings.head_tokens % settings.page_tokens
        if size.n_packed and short_tokens:
            size = replace(size, n_short=SEQUENCES, short_tokens=short_tokens)
        biases = [
            None if x.key_bias is None or x.rope is None or x.rope.start else (x.key_bias, x.rope)
            for x in adapted.layers
        ]
        self.pool = KVPool(shapes, size, page_tokens=settings.page_tokens, biases=biases, **where)
        self.pages = self.pool.page_pool()
        self.prefix = PrefixIndex(
            self.pages, identity, sinks=settings.head_tokens, window=settings.window
        )
        self.n_computed = 0
        self.n_layers = self.model.config.get_text_config().num_hidden_layers
        self.places = {layer.index: (n, layer) for n, layer in enumerate(adapted.layers)}
        kind: Any = self.model.__class__
        takes = inspect.signature(kind.forward).parameters
        self._picks_logits = "logits_to_keep" in takes
        self._cache = PagedCache(self.n_layers)

    def open(self, salt: str = "") -> Sequence:
        """An empty sequence that publishes the pages it fills to those with the same salt."""
        return Sequence(
            self.pages,
            self.pool,
            sinks=self.settings.sinks,
            window=self.settings.window,
            chain=self.prefix.root(salt),
        )

    def check_room(self, sequence: Sequence, n: int) -> None:
        """PoolExhausted where `n` more tokens will not fit, before any of them is read."""
        size, packs = self.settings.page_tokens, self.pages.n_packed > 0
        n_once = min(n, self.settings.chunk_tokens)
        n_held = n if self.settings.window is None else n_once
        for n_new, packed in {(n_held, packs), (n_once, False)}:
            fresh = -(-(sequence.length + n_new) // size) - -(-sequence.length // size)
            if not self.pages.has_room(fresh, packed=packed):
                available = self.pages.counts(packed=packed).available
                raise PoolExhausted(
                    f"{n} more tokens were asked for and {available * size} are available; close other "
                    "streams, use a smaller window, or load the engine with a larger pool_tokens",
                    asked_tokens=n,
                    available_tokens=available * size,
                )

    def step(self, rows: Items[Row], *, every: bool = False) -> Tensor:
        """Read each row's tokens; logits fp32 `[rows, vocab]` of their last ones, or of `every` token.

        With `every`, `[n_tokens, vocab]` in the order of a single row. PoolExhausted and EngineError (out
        of memory) leave all sequences as they were.
        """
        if self.adapted.one_row and len(rows) > 1:
            return torch.cat([self.step([row], every=every) for row in rows])
        return self._read(rows, [len(row.token_ids) for row in rows] if every else None).float()

    def nats(self, told: Items[Told]) -> Tensor:
        """Read each row's tokens; what its `then` says behind them, fp32 `[n]`, in the order of `told`.

        Errors as of `step`. Nothing is read back to the host.
        """
        if self.adapted.one_row and len(told) > 1:
            return torch.cat([self.nats([one]) for one in told])
        stays = [one.stays for one in told]
        logits = self._read([one.row for one in told], [len(one.then) for one in told], stays)
        return nats(logits, joined([one.then for one in told]))

    def _read(
        self, rows: Items[Row], n_last: Items[int] | None, stays: Items[int | None] | None = None
    ) -> Tensor:
        """Logits of each row's last tokens, in the model's dtype.

        The tokens are in the sequences then, the first `stays` of each row where so wished: what is written
        behind a sequence's end is seen by nobody.
        """
        slots = reserve(rows)
        try:
            first = rows[0].sequence
            self._cache.n_seen = first.length - first.gap(first.length)
            logits = self.forward(make_batch(rows, slots, self.model.device, n_last))
        except BaseException as error:
            for row in rows:
                row.sequence.abandon()
            if isinstance(error, torch.OutOfMemoryError):
                raise EngineError(
                    f"out of memory while reading {sum(len(row.token_ids) for row in rows)} tokens; "
                    "load the engine with a smaller pool_tokens or chunk_tokens"
                ) from error
            raise
        for row, n in zip(rows, stays or repeat(None, len(rows)), strict=True):
            if n is not None:
                row.sequence.shorten(n)
            row.sequence.commit(row.token_ids[:n])
            self.n_computed += len(row.token_ids)
        return logits

    def forward(self, batch: Batch) -> Tensor:
        """Logits of a batch's last tokens `[rows, vocab]`, in the model's dtype.

        Keys and values are written to the batch's slots; sequences are not touched. Reads nothing back to
        the host, so that it can be captured in a CUDA graph.
        """
        extra: dict[str, Any] = {}
        if self._picks_logits:
            extra["logits_to_keep"] = batch.last
        with torch.inference_mode(), running(PagedForward(batch, self.pool, self.places)):
            logits: Tensor = self.model(
                input_ids=batch.input_ids,
                position_ids=(batch.positions - batch.gaps)[None],
                past_key_values=self._cache,
                use_cache=True,
                **extra,
            ).logits[0]
            return logits if self._picks_logits else logits[batch.last]


def _working_tokens(settings: EngineSettings) -> int:
    """Full-precision tokens beside a packed pool: a chunk, and sinks and a page in progress each."""
    wanted = 2 * settings.chunk_tokens + SEQUENCES * (
        settings.head_tokens + 2 * settings.page_tokens
    )
    if settings.pool_tokens is None:
        return wanted
    return min(wanted, settings.pool_tokens + settings.head_tokens + 2 * settings.page_tokens)
