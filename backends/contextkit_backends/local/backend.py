"""`{kind: local}`: a checkpoint in this process, on a CPU or a GPU; needs `contextkit[local]`.

The tokenizer is read with the first count, the weights with the first call. Several threads may use
one backend: what they ask is decoded in one batch. A call that begins like an earlier one of its tenant
does not read that beginning again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from contextkit.backend import Capabilities, Reply, ReplyChunk
from contextkit.call import Call
from contextkit.dialects import openai
from contextkit.errors import BackendUnavailable, ContextOverflow, EngineError, RequestRefused
from contextkit.usage import Usage
from contextkit_backends.local.counter import HuggingFaceCounter
from contextkit_backends.local.load import (
    context_window,
    display_name,
    eos_ids,
    find_folder,
    full_config,
    read_json,
    require,
)
from contextkit_backends.local.template import TemplateRefused
from contextkit_backends.local.tokenizer import ChatTokenizer
from contextkit_backends.local.tool_calls import reply_message

if TYPE_CHECKING:
    from contextkit_backends.local.engine import Engine
    from contextkit_backends.local.engine.generate import Generation, Options


class LocalBackend(BaseModel):
    """An open-weight chat model behind its own chat template; greedy unless told otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "local"

    model: str = "pocket"
    """A shipped model, a folder, or a Hugging Face name."""
    device: str = "auto"
    """`auto`, or a torch device such as `cpu` or `cuda:1`."""
    dtype: str = "auto"
    """`auto` (float32 on a CPU, bfloat16 on a GPU), or a torch dtype."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Upper limit of a reply beside the call's reply reserve; None: generation_config.json's."""
    temperature: float = Field(default=0.0, ge=0.0)
    """0 takes the likeliest token every time."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Draw only from the likeliest tokens that hold this share of the probability."""
    top_k: int = Field(default=0, ge=0)
    """Draw only from this many of the likeliest tokens; 0 draws from all."""
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    """Draw only from tokens with at least this share of the likeliest one's probability."""
    seed: int | None = None
    """Makes drawn replies repeatable."""
    stop: tuple[str, ...] = ()
    """Texts that end a reply; they are not part of it."""
    json_schema: dict[str, Any] | None = None
    """A JSON schema that every reply keeps to; needs `contextkit[structured]`."""
    sinks: int = Field(default=4, ge=0)
    """First tokens that stay in the cache for good, where there is a `window`."""
    window: int | None = Field(default=None, ge=1)
    """How many tokens back the model reads; None: all. With one, memory is bounded and so is no prompt."""
    kv: Literal["bf16", "int4-int8"] = "bf16"
    """Keys and values in the model's dtype, or 4-bit keys and 8-bit values: 2.5 times smaller."""
    page_tokens: int = Field(default=64, ge=1)
    """Tokens of a page of the cache, a power of two; calls share whole pages."""
    pool_tokens: int | None = Field(default=None, ge=1)
    """Tokens that the cache holds over all calls; None: from the memory that is free."""
    evict: bool = True
    """What a policy drops from the middle of a thread's calls leaves the cache, and the rest is not read
    again; what was read in its presence keeps what it took from it. False reads from the first change."""
    batch_size: int = Field(default=8, ge=1)
    """How many calls are decoded at once; as one ends the next begins."""
    threads: int | None = Field(default=None, ge=1)
    """torch's CPU threads, for the whole process; None leaves them alone."""
    trust_remote_code: bool = False
    """Whether Python code of the checkpoint may run."""
    allow_download: bool = False
    """Whether a Hugging Face name may be fetched; otherwise only the local cache is read."""

    _lock: Lock = PrivateAttr(default_factory=Lock)
    _loaded: list[Any] = PrivateAttr(default_factory=list[Any])

    @classmethod
    def describe_model(cls, model: str) -> dict[str, Any]:
        """What `config.json` of a model says, found as `model` is, with what it leaves to its kind."""
        return full_config(find_folder(model))

    @cached_property
    def capabilities(self) -> Capabilities:
        limits = [context_window(read_json(self._folder / "config.json"))]
        if self.window is None:
            limits.append(self.pool_tokens)
        return Capabilities(
            context_window=min((n for n in limits if n is not None), default=None),
            model=self.model,
        )

    @cached_property
    def counter(self) -> HuggingFaceCounter:
        """Exact where the chat template is additive; see `HuggingFaceCounter`."""
        return HuggingFaceCounter(self.tokenizer, display_name(self.model, self._folder))

    def load(self) -> None:
        """The model into memory, once; else the first call does it.

        Raises `ConfigError` where there is no such model or a package is missing, `EngineError` where the
        engine can't run it.
        """
        _ = self._engine

    def complete(self, call: Call) -> Reply:
        """Ask and wait. Raises `ContextOverflow` before any work where the prompt is too long."""
        return self.complete_many([call])[0]

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask all in one changing batch; replies in the order of the calls."""
        salt = _fresh_salt()
        asked = [(*self.prepare(call), call.tenant) for call in calls]
        if not asked:
            return []
        engine = self._engine
        requests = [(prompt, self._options(n, tenant, salt)) for prompt, n, tenant in asked]
        try:
            found = engine.replies.generate(requests)
        except EngineError as error:
            raise BackendUnavailable(f"{self.model}: {error}") from error
        return [_reply(call, generation) for call, generation in zip(calls, found, strict=True)]

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Text as it is decoded; to close the iterator, or to drop it, stops the model."""
        prompt, n = self.prepare(call)
        options = self._options(n, call.tenant, _fresh_salt())
        engine = self._engine
        try:
            with closing(engine.replies.stream(prompt, options)) as pieces:
                for piece in pieces:
                    if piece.text:
                        yield ReplyChunk(piece.text)
                    if piece.generation is not None:
                        yield ReplyChunk(reply=_reply(call, piece.generation))
        except EngineError as error:
            raise BackendUnavailable(f"{self.model}: {error}") from error

    def _options(self, max_new_tokens: int, tenant: str, salt: str) -> Options:
        engine: Any = require("contextkit_backends.local.engine.generate")
        options: Options = engine.Options(
            max_new_tokens=max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=self.seed,
            stop=self.stop,
            json_schema=self.json_schema,
            eos=self.eos,
            salt=tenant or salt,
            keep=self.evict and tenant != "",
        )
        return options

    def prepare(self, call: Call) -> tuple[list[int], int]:
        """The ids of a call, and how many tokens its reply may have.

        Raises `RequestRefused` where the model cannot read it, `ContextOverflow` where prompt and
        reply together are over the context window.
        """
        limits = (
            self.max_new_tokens or self._defaults.get("max_new_tokens"),
            call.max_output_tokens,
        )
        max_new_tokens = max(1, min(n for n in limits if n is not None))
        prompt = self._encode(call)
        window = self.capabilities.context_window if self.window is None else None
        if window is not None and len(prompt) + max_new_tokens > window:
            raise ContextOverflow(
                f"{self.model} reads {window} tokens: the prompt has {len(prompt)}, "
                f"and the reply may have {max_new_tokens}",
                actual_tokens=len(prompt),
            )
        return prompt, max_new_tokens

    def _encode(self, call: Call) -> list[int]:
        request = openai.request(call.messages, call.tools)
        unread = {kind for message in request["messages"] for kind in _media(message)}
        if unread:
            raise RequestRefused(f"{self.model} reads text only; the call has {', '.join(unread)}")
        try:
            return self.tokenizer.encode_chat(request["messages"], request.get("tools") or ())
        except TemplateRefused as error:
            raise RequestRefused(f"the chat template of {self.model} refuses: {error}") from error

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        return ChatTokenizer.read(self._folder)

    @cached_property
    def eos(self) -> frozenset[int]:
        """The tokens that end a reply."""
        return eos_ids(self._folder) | self.tokenizer.eos_ids

    @cached_property
    def _folder(self) -> Path:
        return find_folder(self.model, allow_download=self.allow_download)

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return read_json(self._folder / "generation_config.json")

    @property
    def _engine(self) -> Engine:
        with self._lock:
            if not self._loaded:
                require("torch")
                kind: type[Engine] = require("contextkit_backends.local.engine").Engine
                engine = kind.load(
                    self._folder,
                    device=self.device,
                    dtype=self.dtype,
                    sinks=self.sinks,
                    window=self.window,
                    kv=self.kv,
                    page_tokens=self.page_tokens,
                    pool_tokens=self.pool_tokens,
                    threads=self.threads,
                    trust_remote_code=self.trust_remote_code,
                )
                engine.runner.max_running = self.batch_size
                self._loaded.append(engine)
            loaded: Engine = self._loaded[0]
            return loaded


def _reply(call: Call, generation: Generation) -> Reply:
    """The whole reply; its usage counts the end token, which was decoded too."""
    message = reply_message(generation.text, {tool.name for tool in call.tools})
    usage = Usage(generation.n_prompt, len(generation.token_ids), generation.n_cached)
    return Reply(message, usage, "tool_calls" if message.tool_calls else generation.finish_reason)


def _fresh_salt() -> str:
    """For calls that belong to no tenant: their prefixes are shared with nobody else's."""
    return f"call/{uuid4()}"


def _media(message: Mapping[str, Any]) -> list[str]:
    """The kinds of a message's blocks that are no text."""
    content: Any = message.get("content")
    if content is None or isinstance(content, str):
        return []
    return [block["type"] for block in content if block["type"] not in ("text", "refusal")]
