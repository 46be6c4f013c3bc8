"""`{kind: echo}`: says the newest request back; for demos, tests and dry runs of a configuration.

It counts like the model it is told to stand for, and keeps a prompt cache in name: tokens of the
longest prefix (tools and messages) that an earlier call of this object had count as cache reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from contextkit.backend import Capabilities, DialectName, Reply, ReplyChunk
from contextkit.call import Call
from contextkit.errors import ContextOverflow
from contextkit.tokens import TokenCounter, add
from contextkit.usage import Usage

_REMEMBERED = 1 << 20  # prefixes; the oldest are forgotten first


class EchoBackend(BaseModel):
    """Answers with the text of the newest user request, after `prefix`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "echo"

    context_window: int = Field(default=128_000, ge=1)
    """Tokens; a call over it raises `ContextOverflow`, as a provider would."""
    prefix: str = ""
    """Put before the echoed text."""
    dialect: DialectName = "openai"
    """Whose rules of validity calls must keep."""
    provider: str = ""
    """Whose cache prices the ledger shows; empty for none."""
    model: str = ""
    """The model it stands for: its name chooses the counter and the row of prices."""
    tokenizer: str | None = None
    """Whose tokenizer counts; without it, a model and a provider, o200k_base."""

    _seen: dict[bytes, None] = PrivateAttr(default_factory=dict[bytes, None])
    _lock: Lock = PrivateAttr(default_factory=Lock)

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.context_window, self.dialect, self.provider, self.model)

    @cached_property
    def counter(self) -> TokenCounter:
        from contextkit.tokens.choose import counter_for

        default = None if self.model or self.provider else "o200k_base"
        return counter_for(self.provider, self.model, self.tokenizer or default)

    def complete(self, call: Call) -> Reply:
        input_tokens, cache_read_tokens = self._read(call)
        if input_tokens > self.context_window:
            raise ContextOverflow(
                f"the prompt has {input_tokens} tokens, the context window {self.context_window}",
                actual_tokens=input_tokens,
            )
        reply = Reply.of(self.prefix + _newest_request(call))
        output = self.counter.tokens(self.counter.measure(reply.message))
        usage = Usage(input_tokens, output, cache_read_tokens=cache_read_tokens)
        return Reply(reply.message, usage, reply.finish_reason)

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        return [self.complete(call) for call in calls]

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Word by word."""
        reply = self.complete(call)
        for word in re.findall(r"\s*\S+|\s+", reply.text):
            yield ReplyChunk(word)
        yield ReplyChunk(reply=reply)

    def _read(self, call: Call) -> tuple[int, int]:
        """(input tokens, those of them that an earlier call had as its prefix)."""
        count, measure = self.counter, self.counter.measure_frame(call.tools)
        totals = [count.tokens(measure)]
        for message in call.messages:
            measure = add(measure, count.measure(message))
            totals.append(count.tokens(measure))
        chain = _chain(call)
        with self._lock:
            n_seen = next((i for i, link in enumerate(chain) if link not in self._seen), len(chain))
            self._seen.update(dict.fromkeys(chain))
            while len(self._seen) > _REMEMBERED:
                self._seen.pop(next(iter(self._seen)))
        # The first link stands for the tools alone: without any there was nothing to remember.
        something = n_seen > 1 or (n_seen == 1 and bool(call.tools))
        return totals[-1], totals[n_seen - 1] if something else 0


def _chain(call: Call) -> list[bytes]:
    """A digest for every prefix of the call: tools, tools and one message, and so on."""
    link = hashlib.sha256(b"".join(tool.digest for tool in call.tools)).digest()
    links = [link]
    for message in call.messages:
        link = hashlib.sha256(link + message.digest).digest()
        links.append(link)
    return links


def _newest_request(call: Call) -> str:
    found = next((m for m in reversed(call.messages) if m.is_request), None)
    return found.text if found is not None else call.messages[-1].text
