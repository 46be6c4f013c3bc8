"""`{kind: local}`: a checkpoint in this process, on a CPU or a GPU; needs `contextkit[local]`.

The tokenizer is read with the first count, the weights with the first call. Several threads may use
one backend: a forward pass keeps its state in its own cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from contextkit.backend import Capabilities, Reply, ReplyChunk
from contextkit.call import Call
from contextkit.dialects import openai
from contextkit.errors import ContextOverflow, RequestRefused
from contextkit.usage import Usage
from contextkit_backends.local.counter import HuggingFaceCounter
from contextkit_backends.local.detokenize import TextStream
from contextkit_backends.local.generate import Sampling, decode
from contextkit_backends.local.load import (
    context_window,
    display_name,
    eos_ids,
    find_folder,
    load_model,
    read_json,
    require,
)
from contextkit_backends.local.template import TemplateRefused
from contextkit_backends.local.tokenizer import ChatTokenizer
from contextkit_backends.local.tool_calls import reply_message


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
    seed: int | None = None
    """Makes drawn replies repeatable."""
    stop: tuple[str, ...] = ()
    """Texts that end a reply; they are not part of it."""
    batch_size: int = Field(default=8, ge=1)
    """How many calls `complete_many` decodes at once."""
    threads: int | None = Field(default=None, ge=1)
    """torch's CPU threads, for the whole process; None leaves them alone."""
    trust_remote_code: bool = False
    """Whether Python code of the checkpoint may run."""
    allow_download: bool = False
    """Whether a Hugging Face name may be fetched; otherwise only the local cache is read."""

    _lock: Lock = PrivateAttr(default_factory=Lock)
    _loaded: list[Any] = PrivateAttr(default_factory=list)

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            context_window=context_window(read_json(self._folder / "config.json")),
            model=self.model,
        )

    @cached_property
    def counter(self) -> HuggingFaceCounter:
        """Exact where the chat template is additive; see `HuggingFaceCounter`."""
        return HuggingFaceCounter(self.tokenizer, display_name(self.model, self._folder))

    def complete(self, call: Call) -> Reply:
        """Ask and wait. Raises `ContextOverflow` before any work where the prompt is too long."""
        return self._answer([call])[0]

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask in batches, calls of like length together; replies in the order of the calls."""
        order = sorted(range(len(calls)), key=lambda index: calls[index].input_tokens)
        replies: dict[int, Reply] = {}
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            replies.update(zip(batch, self._answer([calls[i] for i in batch]), strict=True))
        return [replies[index] for index in range(len(calls))]

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Text as it is decoded; to close the iterator, or to drop it, stops the model."""
        row = _Row(self, call)
        for (token,) in self._decode([row]):
            text = row.take(token)
            if text:
                yield ReplyChunk(text)
            if row.stream.stopped:
                break
        rest = row.stream.finish()
        if rest:
            yield ReplyChunk(rest)
        yield ReplyChunk(reply=row.reply())

    def _answer(self, calls: Sequence[Call]) -> list[Reply]:
        rows = [_Row(self, call) for call in calls]
        for step in self._decode(rows):
            for row, token in zip(rows, step, strict=True):
                row.take(token)
            if all(row.ended for row in rows):
                break
        for row in rows:
            row.stream.finish()
        return [row.reply() for row in rows]

    def _decode(self, rows: Sequence[_Row]) -> Iterator[list[int | None]]:
        return decode(
            self._weights,
            [row.prompt for row in rows],
            max_new_tokens=[row.max_new_tokens for row in rows],
            eos=self.eos,
            sampling=Sampling(self.temperature, self.top_p, self.seed),
        )

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
        window = self.capabilities.context_window
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
    def _weights(self) -> Any:
        with self._lock:
            if not self._loaded:
                if self.threads is not None:
                    require("torch").set_num_threads(self.threads)
                self._loaded.append(
                    load_model(
                        self._folder,
                        device=self.device,
                        dtype=self.dtype,
                        trust_remote_code=self.trust_remote_code,
                    )
                )
            return self._loaded[0]


def _media(message: Mapping[str, Any]) -> list[str]:
    """The kinds of a message's blocks that are no text."""
    content: Any = message.get("content")
    if content is None or isinstance(content, str):
        return []
    return [block["type"] for block in content if block["type"] not in ("text", "refusal")]


class _Row:
    """One reply in the making: its prompt, its limits and what was decoded."""

    def __init__(self, backend: LocalBackend, call: Call) -> None:
        self.prompt, self.max_new_tokens = backend.prepare(call)
        self.stream = TextStream(backend.tokenizer, backend.stop)
        self.ended = False
        self._eos = backend.eos
        self._tool_names = {tool.name for tool in call.tools}
        self._n_tokens = 0

    def take(self, token: int | None) -> str:
        """Take one decoded token; returns the text that is certain now."""
        if token is None or self.ended:
            return ""
        self._n_tokens += 1
        self.ended = token in self._eos
        text = "" if self.ended else self.stream.push(token)
        self.ended = self.ended or self.stream.stopped
        return text

    def reply(self) -> Reply:
        """The whole reply; its usage counts the end token, which was decoded too."""
        message = reply_message(self.stream.text, self._tool_names)
        reason = "tool_calls" if message.tool_calls else "stop" if self.ended else "length"
        return Reply(message, Usage(len(self.prompt), self._n_tokens), reason)
