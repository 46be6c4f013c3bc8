"""`{kind: scripted}`: plays replies back in order; for tests of agents and of what wraps them.

A reply of the script is

- a string: what the assistant says;
- a message in OpenAI form, so that tool calls can be scripted;
- `{error: overflow | rate_limited | unavailable | refused}`, with `message`, `actual_tokens`,
  `retry_after_s` where wanted, and `after`: the text that a stream hands on before it breaks;
- in Python also a `Message`, a `Reply`, an exception, or a function of the call that returns any of
  these. In place of the list there may be one such function: it answers every call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Annotated, Any, ClassVar, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, WithJsonSchema

from contextkit.backend import Capabilities, DialectName, Reply, ReplyChunk
from contextkit.call import Call
from contextkit.dialects import openai
from contextkit.errors import (
    BackendError,
    BackendUnavailable,
    ContextOverflow,
    RateLimited,
    RequestRefused,
)
from contextkit.messages import Message, text_message
from contextkit.tokens import TokenCounter, add
from contextkit.usage import Usage

Line: TypeAlias = "str | Mapping[str, Any] | Message | Reply | Exception | Script"
Script: TypeAlias = "Callable[[Call], Line]"

_ERRORS: dict[str, type[BackendError]] = {
    "overflow": ContextOverflow,
    "rate_limited": RateLimited,
    "unavailable": BackendUnavailable,
    "refused": RequestRefused,
}
_ERROR_FIELDS = ("actual_tokens", "retry_after_s")
_SCHEMA = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}}


def _check(value: Any) -> Any:
    if callable(value):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of replies, or a function of the call")
    for index, line in enumerate(cast("Sequence[Any]", value)):
        if isinstance(line, Mapping):
            _check_mapping(index, cast("Mapping[str, Any]", line))
        elif not (isinstance(line, str | Message | Reply | Exception) or callable(line)):
            raise ValueError(
                f"reply {index} is a {type(line).__name__}: a string or a mapping works"
            )
    return tuple(cast("Sequence[Any]", value))


def _check_mapping(index: int, line: Mapping[str, Any]) -> None:
    if "error" in line:
        if line["error"] not in _ERRORS:
            raise ValueError(f"reply {index}: error must be one of {', '.join(_ERRORS)}")
    elif line.get("role", "assistant") != "assistant":
        raise ValueError(f"reply {index}: a reply has the role assistant, not {line['role']!r}")


class ScriptedBackend(BaseModel):
    """Answers the first call with the first reply of its script, the second with the second, …"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "scripted"

    replies: Annotated[Any, AfterValidator(_check), WithJsonSchema(_SCHEMA)] = ()
    """The script; see the module."""
    context_window: int | None = Field(default=128_000, ge=1)
    """Tokens of input and output together; a script says itself when a call overflows."""
    dialect: DialectName = "openai"
    """Whose rules of validity calls must keep."""
    provider: str = ""
    """Whose cache prices the ledger shows; empty for none."""
    model: str = ""
    """The model it stands for: its name chooses the counter and the row of prices."""
    tokenizer: str | None = None
    """Whose tokenizer counts; without it, a model and a provider, o200k_base."""

    _calls: list[Call] = PrivateAttr(default_factory=list[Call])
    _lock: Lock = PrivateAttr(default_factory=Lock)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls so far, those that were answered with an error among them."""
        return tuple(self._calls)

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.context_window, self.dialect, self.provider, self.model)

    @cached_property
    def counter(self) -> TokenCounter:
        from contextkit.tokens.choose import counter_for

        default = None if self.model or self.provider else "o200k_base"
        return counter_for(self.provider, self.model, self.tokenizer or default)

    def complete(self, call: Call) -> Reply:
        """The next reply; `BackendError` once the script has ended."""
        outcome = self._next(call)
        if isinstance(outcome, tuple):
            raise outcome[0]
        return outcome

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        return [self.complete(call) for call in calls]

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """The next reply word by word; a scripted error comes after its `after` text."""
        outcome = self._next(call)
        text = outcome[1] if isinstance(outcome, tuple) else outcome.text
        for word in re.findall(r"\s*\S+|\s+", text):
            yield ReplyChunk(word)
        if isinstance(outcome, tuple):
            raise outcome[0]
        yield ReplyChunk(reply=outcome)

    def _next(self, call: Call) -> Reply | tuple[Exception, str]:
        """The reply, or an error and the text before it."""
        with self._lock:
            index = len(self._calls)
            self._calls.append(call)
        if callable(self.replies):
            line: Any = self.replies
        elif index < len(self.replies):
            line = self.replies[index]
        else:
            n = len(self.replies)
            return BackendError(f"the script has {n} replies, and this is call {index + 1}"), ""
        while callable(line):
            line = line(call)
        return self._outcome(call, line)

    def _outcome(self, call: Call, line: Any) -> Reply | tuple[Exception, str]:
        if isinstance(line, Reply):
            return line
        if isinstance(line, Exception):
            return line, ""
        if isinstance(line, str):
            return self._reply(call, text_message("assistant", line))
        if isinstance(line, Message):
            return self._reply(call, line)
        if "error" in line:
            return _error(line), str(line.get("after", ""))
        return self._reply(call, openai.parse({"role": "assistant", **line}))

    def _reply(self, call: Call, message: Message) -> Reply:
        measure = self.counter.measure_frame(call.tools)
        for sent in call.messages:
            measure = add(measure, self.counter.measure(sent))
        output = self.counter.tokens(self.counter.measure(message))
        usage = Usage(self.counter.tokens(measure), output)
        return Reply(message, usage, "tool_calls" if message.tool_calls else "stop")


def _error(line: Mapping[str, Any]) -> Exception:
    fields = {name: line[name] for name in _ERROR_FIELDS if name in line}
    return _ERRORS[line["error"]](line.get("message", f"scripted: {line['error']}"), **fields)
