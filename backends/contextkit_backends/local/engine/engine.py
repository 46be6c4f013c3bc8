"""The engine: a model, its settings, and everything that reads tokens with it."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Generator
from collections.abc import Sequence as Items
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from contextkit.errors import ConfigError, ContextOverflow, EngineError, UnsupportedModel
from contextkit_backends.local.engine.batch import Row, joined
from contextkit_backends.local.engine.executor import choose_executor
from contextkit_backends.local.engine.fallback import Unpaged
from contextkit_backends.local.engine.generate import (
    Generation,
    Options,
    Piece,
    Prompt,
    Replies,
)
from contextkit_backends.local.engine.kept import KeptSequences
from contextkit_backends.local.engine.limits import most_positions
from contextkit_backends.local.engine.nats import Told, nats
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.engine.pool_cache import PoolCache
from contextkit_backends.local.engine.runner import Runner
from contextkit_backends.local.engine.settings import EngineSettings, KvFormat
from contextkit_backends.local.engine.stats import EngineStats
from contextkit_backends.local.engine.stream import Stream
from contextkit_backends.local.engine.text import PlainTokenizer
from contextkit_backends.local.load import (
    checked_device,
    eos_ids,
    find_folder,
    load_model,
    torch_dtype,
)

CPU_CHUNK_TOKENS = 512
GPU_CHUNK_TOKENS = 4096


class Engine:
    """One loaded model. `Engine.load` makes it; `stream` and `generate` use it, also from threads."""

    def __init__(
        self,
        model: Any,
        settings: EngineSettings,
        paged: Paged | None,
        unpaged: Unpaged | None,
        *,
        folder: Path | None = None,
    ) -> None:
        self.model, self.settings, self.folder = model, settings, folder
        self.paged, self._unpaged = paged, unpaged
        self.lock = threading.RLock()
        self.n_decode_steps = 0
        self.n_kept = 0
        """Tokens that stayed from call to call, or behind an eviction, and were not read again."""
        self.kept: KeptSequences | None = None
        if paged is not None and settings.window is None and not paged.adapted.no_sinks:
            self.kept = KeptSequences()
            paged.pages.reclaim = self.kept.drop_oldest
        self.n_graphs = 0
        self._names = itertools.count(1)
        self._n_tokens = model.get_input_embeddings().num_embeddings
        self._longest = most_positions(paged.adapted) if paged and settings.window is None else None

    @classmethod
    def load(
        cls,
        model: Any,
        *,
        device: str = "auto",
        dtype: str = "auto",
        sinks: int = 4,
        window: int | None = None,
        kv: KvFormat = "bf16",
        page_tokens: int = 64,
        pool_tokens: int | None = None,
        most_pool_tokens: int | None = None,
        chunk_tokens: int | None = None,
        threads: int | None = None,
        allow_download: bool = False,
        trust_remote_code: bool = False,
    ) -> Engine:
        """The engine of a checkpoint (a shipped name, a folder, a name in the Hugging Face cache).

        `model` may also be a loaded transformers model, which then belongs to the engine. ConfigError
        for settings and checkpoints that cannot be used, UnsupportedModel (a ConfigError) where this
        model cannot do what they ask. No code of a checkpoint is run unless `trust_remote_code`.
        """
        settings = EngineSettings(
            sinks=sinks,
            window=window,
            kv=kv,
            page_tokens=page_tokens,
            pool_tokens=pool_tokens,
            most_pool_tokens=most_pool_tokens,
            chunk_tokens=CPU_CHUNK_TOKENS if chunk_tokens is None else chunk_tokens,
        )
        if threads is not None:
            torch.set_num_threads(threads)
        folder: Path | None = None
        if isinstance(model, str | Path):
            folder = find_folder(str(model), allow_download=allow_download)
            model = load_model(
                folder, device=device, dtype=dtype, trust_remote_code=trust_remote_code
            )
        elif not isinstance(model, cast("type[Any]", torch.nn.Module)):
            raise ConfigError(
                f"model: {type(model).__name__} is neither a name, a folder nor a transformers model"
            )
        elif device != "auto" or dtype != "auto":
            model = model.to(
                device=model.device if device == "auto" else checked_device(device),
                dtype=model.dtype if dtype == "auto" else torch_dtype(dtype),
            )
        model.eval()
        if chunk_tokens is None and model.device.type == "cuda":
            settings = dataclasses.replace(settings, chunk_tokens=GPU_CHUNK_TOKENS)
        paged, unpaged = choose_executor(model, settings, folder)
        return cls(model, settings, paged, unpaged, folder=folder)

    def __repr__(self) -> str:
        model, window = self.model, self.settings.window
        read = "everything" if window is None else f"{self.settings.sinks} sinks + {window:,}"
        name = self.folder.name if self.folder else type(model).__name__
        return f"Engine({name}, {model.device}, {model.dtype}, kv {self.settings.kv}, {read})"

    @property
    def unpaged(self) -> Unpaged:
        """How the model runs where it does not run on pages."""
        if self._unpaged is None:
            raise EngineError("this engine runs on pages")
        return self._unpaged

    def stream(self, salt: str = "", *, first_position: int = 0) -> Stream:
        """An empty stream. Streams with the same `salt` (a tenant's, set by the server) share prefixes.

        With `first_position` the stream continues at that position once it has read its sinks, like one
        that has already read that far and let everything but its sinks go.
        """
        with self.lock:
            return Stream(self, self.open_sequence(salt), self.next_name(), salt, first_position)

    def open_sequence(self, salt: str = "") -> Any:
        """An empty sequence for the rows of `step`; whoever opens it closes it."""
        return self.paged.open(salt) if self.paged is not None else self.unpaged.open(salt)

    def step(self, rows: Items[Row]) -> Tensor:
        """Read new tokens of several sequences at once; logits fp32 `[rows, vocab]` of their last ones.

        PoolExhausted and EngineError leave every sequence as it was.
        """
        with self.lock:
            if self.paged is not None:
                logits = self.paged.step(rows)
            else:
                read: Any = self.unpaged.read
                logits = torch.cat([read(r.sequence, r.token_ids, every=False) for r in rows])
            self.n_decode_steps += all(len(row.token_ids) == 1 for row in rows)
        return logits

    def nats(self, told: Items[Told]) -> Tensor:
        """Read tokens of several sequences at once; -log p of what each says stands behind: fp32 `[n]`.

        In the order of `told`. Errors as of `step`, and ConfigError for a token that the model lacks.
        """
        with self.lock:
            for one in told:
                self.check_tokens([*one.token_ids, *one.then[-1:]], one.sequence.n_cached, "nats")
            if self.paged is not None:
                return self.paged.nats(told)
            found = [self._unpaged_nats(one) for one in told]
            return torch.cat(found)

    def _unpaged_nats(self, told: Told) -> Tensor:
        read: Any = self.unpaged.read
        sequence, ids = told.sequence, told.token_ids
        if told.stays is not None:
            if told.stays:
                read(sequence, ids[: told.stays], every=False)
            sequence, ids = sequence.fork(), ids[told.stays :]
        logits = read(sequence, ids, every=bool(told.then))
        if told.stays is not None:
            sequence.close()
        return nats(logits[len(logits) - len(told.then) :], joined([told.then]))

    def cache(self, batch_size: int = 1) -> PoolCache:
        """A transformers cache on this engine's pages, for `model.generate(past_key_values=…)`."""
        if self.paged is None:
            raise UnsupportedModel(f"cache: this model runs on {self.unpaged.fallback}")
        return PoolCache(self.paged, batch_size)

    def stats(self) -> EngineStats:
        """What the engine holds and has done."""
        with self.lock:
            if self.paged is None:
                return EngineStats(
                    prefill_tokens=self.unpaged.n_computed,
                    n_decode_steps=self.n_decode_steps,
                    fallback=self.unpaged.fallback,
                    why=self.unpaged.why,
                )
            counts, packed = self.paged.pages.counts(), self.paged.pages.counts(packed=True)
            hits = self.paged.prefix.stats().hit_tokens
            return EngineStats(
                n_pages=counts.total + packed.total,
                n_free_pages=counts.free + packed.free,
                n_cached_pages=counts.cached + packed.cached,
                n_evicted_pages=self.paged.pages.n_evicted,
                prefix_hit_tokens=hits,
                prefill_tokens=self.paged.n_computed,
                avoided_tokens=hits + self.n_kept,
                pool_bytes=self.paged.pool.bytes(),
                n_decode_steps=self.n_decode_steps,
                n_graphs=self.n_graphs,
                why=self.paged.adapted.no_sinks,
            )

    def generate(
        self,
        prompts: Items[Prompt],
        *,
        keep_errors: bool = False,
        options: Options | None = None,
        **fields: Any,
    ) -> list[Generation]:
        """A reply to every prompt (token ids, or text as it is), decoded together; see `Options`.

        Fields of `Options` may be given by name: `max_new_tokens=`, `temperature=`, `stop=`, ….
        """
        all_options = dataclasses.replace(options or Options(), **fields)
        return self.replies.generate([(p, all_options) for p in prompts], keep_errors=keep_errors)

    def stream_generate(
        self, prompt: Prompt, *, options: Options | None = None, **fields: Any
    ) -> Generator[Piece]:
        """One reply token by token; to close the generator stops the model and frees its pages."""
        return self.replies.stream(prompt, dataclasses.replace(options or Options(), **fields))

    def continue_stream(
        self, stream: Stream, prompt: Prompt, *, options: Options | None = None, **fields: Any
    ) -> Generation:
        """A reply to `prompt` behind all that the stream has read; the stream stays as it is."""
        with self.lock:
            sequence = stream.fork_sequence()
        return self.replies.resume(
            sequence, prompt, dataclasses.replace(options or Options(), **fields)
        )

    @cached_property
    def runner(self) -> Runner:
        return Runner(self)

    @cached_property
    def replies(self) -> Replies:
        return Replies(self, self.runner)

    @cached_property
    def tokenizer(self) -> PlainTokenizer | None:
        """The checkpoint's tokenizer; None for a model that was handed over without a folder."""
        return None if self.folder is None else PlainTokenizer.read(self.folder)

    @cached_property
    def eos(self) -> frozenset[int]:
        """The tokens that end a reply, as the checkpoint has them."""
        if self.folder is not None:
            return eos_ids(self.folder)
        found = getattr(self.model.generation_config, "eos_token_id", None)
        return frozenset([found] if isinstance(found, int) else found or ())

    def next_name(self) -> str:
        """What errors call the next stream."""
        return f"stream {next(self._names)}"

    def check_tokens(self, token_ids: Items[int], n_cached: int, name: str) -> None:
        """ConfigError for a token that the model does not know, ContextOverflow beyond its positions."""
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self._n_tokens:
            place = next(n for n, t in enumerate(token_ids) if not 0 <= t < self._n_tokens)
            raise ConfigError(
                f"{name}: token {token_ids[place]} at place {place} is not one of this model's "
                f"{self._n_tokens} (0 … {self._n_tokens - 1})"
            )
        if self._longest is not None and n_cached + len(token_ids) > self._longest:
            raise ContextOverflow(
                f"{name}: {n_cached} tokens and {len(token_ids)} more are over the {self._longest} "
                "positions that this model has",
                actual_tokens=n_cached + len(token_ids),
            )

    def check_evictable(self) -> None:
        """UnsupportedModel where a stretch cannot leave the middle of this model's cache."""
        if self.paged is not None and self.paged.adapted.no_sinks:
            raise UnsupportedModel(f"evict: {self.paged.adapted.no_sinks}")
