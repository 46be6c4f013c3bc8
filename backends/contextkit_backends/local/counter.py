"""Exact counts for a local checkpoint: what a message adds to the rendered chat template.

At construction the counter finds out how the template composes. It measures the messages of a few
probe conversations one by one, and compares the sums with the whole conversations rendered:

- equal everywhere: the template is *additive*, each message is rendered once, the count is exact;
- otherwise each message is rendered as the last one and as an earlier one (a template may drop the
  reasoning of earlier turns, or join neighbours). `tokens` is what it costs as an earlier one,
  `upper` the larger of both, plus `slack_tokens` a message: one, or what the probes showed.

A default system prompt that a template inserts where there is none counts to the frame's `upper`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from contextkit.dialects import openai
from contextkit.errors import ConfigError
from contextkit.messages import Message
from contextkit.tokens import Measure
from contextkit.tools import Tool
from contextkit_backends.local.load import display_name, find_folder
from contextkit_backends.local.probes import ASK, SYSTEM, context_candidates, conversations
from contextkit_backends.local.template import TemplateRefused, WireMessage, WireTool
from contextkit_backends.local.tokenizer import ChatTokenizer

_MEMO_SIZE = 65_536


class HuggingFaceCounter:
    """Counts with a checkpoint's own tokenizer and chat template; needs no weights and no torch.

    Measures are `(tokens, upper)`.
    """

    def __init__(self, tokenizer: ChatTokenizer, model: str) -> None:
        self._tokenizer = tokenizer
        self._memo: dict[bytes, Measure] = {}
        self._lock = Lock()
        self.name = f"huggingface:{model}:{tokenizer.fingerprint[:12]}"
        self.slack_tokens = 0
        self.exact = True
        self._bases: dict[str, str] = {}
        self._contexts = {
            role: self._choose_context(role) for role in ("user", "assistant", "tool")
        }
        try:
            self._compare()
        except TemplateRefused as error:
            raise ConfigError(
                f"model: the chat template of {model} does not work: {error}"
            ) from error

    @classmethod
    def of(cls, model: str, *, allow_download: bool = False) -> HuggingFaceCounter:
        """The counter of a shipped model, a folder or a Hugging Face name."""
        folder = find_folder(model, allow_download=allow_download)
        return cls(ChatTokenizer.read(folder), display_name(model, folder))

    @property
    def zero(self) -> Measure:
        return (0, 0)

    def measure(self, message: Message) -> Measure:
        """One message with all that the template puts around it; nothing for an empty one."""
        if message.is_empty:
            return self.zero
        return self._remember(message.digest, lambda: self.measure_wire(_wire(message)))

    def measure_frame(self, tools: Sequence[Tool]) -> Measure:
        """What stands before the first message and after the last, and the tools' schemas."""
        key = b"frame" + b"".join(tool.digest for tool in tools)
        return self._remember(key, lambda: self._frame(_wire_tools(tools)))

    def tokens(self, measure: Measure) -> int:
        return max(0, measure[0])

    def upper(self, measure: Measure) -> int:
        return max(0, measure[0], measure[1])

    def observe(self, measure: Measure, actual_tokens: int) -> None:
        """Nothing to learn: the tokenizer is at hand."""

    def state(self) -> str:
        return ""

    def restore(self, state: str) -> None:
        """Nothing was learned."""

    def measure_wire(self, wire: Sequence[WireMessage]) -> Measure:
        """The measure of messages in OpenAI form that stand next to one another.

        What the template refuses is measured as JSON; a call with it will be refused by name.
        """
        if not wire:
            return self.zero
        try:
            return self._measure(wire)
        except TemplateRefused:
            tokens = len(self._tokenizer.encode(json.dumps([dict(message) for message in wire])))
            return (tokens, tokens)

    def _measure(self, wire: Sequence[WireMessage]) -> Measure:
        if wire[0]["role"] in ("system", "developer"):
            tokens = self._system_tokens(wire)
            return (tokens, tokens + self.slack_tokens * len(wire))
        last = self._added_tokens(wire)
        if self.exact:
            return (last, last)
        earlier = self._earlier_tokens(wire, last)
        return (earlier, max(last, earlier) + self.slack_tokens * len(wire))

    def _added_tokens(self, wire: Sequence[WireMessage]) -> int:
        """Tokens that `wire` adds at the end of a conversation."""
        before = self._context(wire)
        base = self._base(wire[0]["role"], before)
        text = self._tokenizer.render([*before, *wire])
        control, added = self._tokenizer.control_tokens, text[len(base) :]
        if text.startswith(base) and added.startswith(control):
            return len(self._tokenizer.encode(added))
        if not base.endswith(control):  # a token may reach over the seam
            self.exact = False
        return len(self._tokenizer.encode(text)) - len(self._tokenizer.encode(base))

    def _earlier_tokens(self, wire: Sequence[WireMessage], last: int) -> int:
        """Tokens that `wire` takes where a request follows; `last` where none may."""
        if wire[-1]["role"] == "user":
            return last
        before = self._context(wire)
        try:
            whole = self._count([*before, *wire, ASK])
        except TemplateRefused:
            return last
        return whole - self._count(before) - self._added_tokens([ASK])

    def _system_tokens(self, wire: Sequence[WireMessage]) -> int:
        """All that stands before the first request, but for the beginning-of-text token."""
        text = self._tokenizer.render([*wire, ASK])
        bos = self._tokenizer.template.special.get("bos_token", "")
        n_bos = 1 if bos and text.startswith(bos) else 0
        return len(self._tokenizer.encode(text)) - n_bos - self._added_tokens([ASK])

    def _frame(self, tools: Sequence[WireTool]) -> Measure:
        request = self._added_tokens([ASK])
        without = self._count([ASK], tools, reply=True) - request
        try:
            whole = self._count([SYSTEM, ASK], tools, reply=True)
        except TemplateRefused:
            return (without, without)
        with_system = whole - request - self._system_tokens([SYSTEM])
        return (with_system, max(with_system, without))

    def _compare(self) -> None:
        """Set `exact` and `slack_tokens` from the probes."""
        if any(self._gaps(0)):
            self.exact = False
        if not self.exact:
            self.slack_tokens = max(1, *self._gaps(1))

    def _gaps(self, end: int) -> list[int]:
        """By how many tokens a message each probe is larger than the sum of its parts."""
        out: list[int] = []
        frame = self._frame(())[end]
        for conversation in conversations():
            try:
                whole = self._count(conversation, reply=True)
                parts = sum(self._measure([message])[end] for message in conversation)
            except TemplateRefused:
                continue
            gap = whole - frame - parts
            out.append(-(-gap // len(conversation)) if end else gap)
        return out

    def _count(
        self, wire: Sequence[WireMessage], tools: Sequence[WireTool] = (), *, reply: bool = False
    ) -> int:
        return len(self._tokenizer.encode_chat(wire, tools, add_generation_prompt=reply))

    def _choose_context(self, role: str) -> int:
        """Which conversation to measure messages of `role` behind: one that they only add to."""
        probe: WireMessage = {"role": role, "content": "probe", "tool_call_id": "probe00id"}
        candidates = context_candidates([probe])
        for index, before in enumerate(candidates):
            try:
                base = self._tokenizer.render(before, adapt=False)
                if self._tokenizer.render([*before, probe], adapt=False).startswith(base):
                    return index
            except TemplateRefused:
                continue
        return len(candidates) - 1

    def _context(self, wire: Sequence[WireMessage]) -> list[WireMessage]:
        return context_candidates(wire)[self._contexts[wire[0]["role"]]]

    def _base(self, role: str, before: Sequence[WireMessage]) -> str:
        if role == "tool":  # its context names the calls that it answers
            return self._tokenizer.render(before)
        if role not in self._bases:
            self._bases[role] = self._tokenizer.render(before)
        return self._bases[role]

    def _remember(self, key: bytes, measure: Callable[[], Measure]) -> Measure:
        with self._lock:
            found = self._memo.get(key)
        if found is None:
            found = measure()
            with self._lock:
                if len(self._memo) >= _MEMO_SIZE:
                    self._memo.pop(next(iter(self._memo)))
                self._memo[key] = found
        return found


def _wire(message: Message) -> list[dict[str, Any]]:
    return list(openai.request((message,), ())["messages"])


def _wire_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    return list(openai.request((), tuple(tools)).get("tools") or ())
