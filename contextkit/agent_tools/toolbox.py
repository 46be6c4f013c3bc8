"""`AgentTools`: the tools of one thread, executed with guards; a model is answered, never raised at."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from contextkit.agent_tools import acts
from contextkit.agent_tools.acts import Answer
from contextkit.agent_tools.limits import Gate, Limits
from contextkit.agent_tools.schemas import COMPACT, EXPAND, NAMES, REMEMBER, SEARCH, TOOLS
from contextkit.dialects import Dialect, dump_tools
from contextkit.errors import ConfigError, ContextKitError
from contextkit.messages import Message, ToolCallPart, ToolResultPart
from contextkit.replies import reply_of
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.thread import Thread

_ACTS: dict[str, Callable[..., Answer]] = {
    EXPAND: acts.expand,
    SEARCH: acts.search,
    REMEMBER: acts.remember,
    COMPACT: acts.compact,
}
COMPACTING = "compact_on_request"
"""The policy that makes `compact` do something."""
_TYPES: dict[str, type] = {"string": str, "integer": int}


class AgentTools:
    """The tools of one thread, of one tenant therefore. Safe to call from several threads at once.

    `only` names those to offer; without it all that can work here: `compact` needs the policy
    `compact_on_request`. Raises `ConfigError` for a name that is none, or for `compact` without its policy.
    """

    def __init__(
        self, thread: Thread, *, only: Sequence[str] | None = None, limits: Limits | None = None
    ) -> None:
        self.thread = thread
        self.limits = limits or Limits()
        self._gate = Gate(self.limits)
        self._tools = tuple(TOOLS[name] for name in _offered(thread, only))

    @property
    def tools(self) -> tuple[Tool, ...]:
        """For `thread.assemble(tools=...)`, beside the agent's own."""
        return self._tools

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self._tools)

    def schemas(self, dialect: Dialect = "openai") -> list[dict[str, Any]]:
        """The tools as a provider's request lists them."""
        return dump_tools(self._tools, dialect)

    def run(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> str:
        """The text that a call of a tool is answered with; `arguments` as the model wrote them or read."""
        return self.call(name, arguments).text

    def call(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> Answer:
        """Like `run`, telling whether it went wrong.

        What a model can do wrong is answered with what would have worked. Raises only where the history
        itself cannot be read or written (`StoreError`).
        """
        if name not in self.names:
            called, there = name[: acts.REPEATED], ", ".join(self.names)
            return Answer(f"There is no tool {called!r} here; there are {there}", True)
        read = _read(TOOLS[name], arguments)
        if isinstance(read, str):
            return Answer(read, True)
        if refused := self._gate.refusal(acts.asked_in(self.thread)):
            return Answer(refused, True)
        act = partial(_ACTS[name], self.thread, self.limits)
        try:
            return act(**read)
        except ContextKitError as error:
            if not _is_the_models(error):
                raise
            return Answer(str(error), True)

    def answer(self, reply: Any) -> list[Message]:
        """The results of those calls in a reply that are for these tools, in order; append them.

        Calls of the agent's own tools are left to it. `reply` is what `Thread.record` takes.
        """
        message = reply_of(reply).message
        return [self._result(call) for call in message.tool_calls if call.name in self.names]

    def _result(self, call: ToolCallPart) -> Message:
        given = self.call(call.name, call.arguments)
        part = ToolResultPart(call.id, given.text, is_error=given.is_error, name=call.name)
        return Message("tool", (part,))


def _offered(thread: Thread, only: Sequence[str] | None) -> list[str]:
    works = any(policy.kind == COMPACTING for policy in thread.manager.policies)
    if only is None:
        return [name for name in NAMES if name != COMPACT or works]
    for name in only:
        if name not in TOOLS:
            raise ConfigError(f"only: there is no tool {name!r}; there are {', '.join(NAMES)}")
        if name == COMPACT and not works:
            raise ConfigError(f"only: {COMPACT} needs the policy {COMPACTING}; add it to policies")
    return list(only)


def _is_the_models(error: ContextKitError) -> bool:
    """Whether what went wrong lies in what the model asked for."""
    from contextkit.errors import InvalidDocument, UnknownHandle

    return isinstance(error, InvalidDocument | UnknownHandle)


def _read(tool: Tool, arguments: Mapping[str, Any] | str | None) -> dict[str, Any] | str:
    """The arguments by name, or what is wrong with them."""
    value: Any = arguments or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            return f"The arguments are not JSON: {error}"
    if not isinstance(value, Mapping):
        return f"The arguments must be an object, such as {_example(tool)}"
    given = cast("Mapping[str, Any]", value)
    schema = cast("Mapping[str, Any]", tool.parameters)
    fields: Mapping[str, Mapping[str, Any]] = schema["properties"]
    for name in given:
        if name not in fields:
            return f"{tool.name} takes no {name[: acts.REPEATED]!r}; it takes {', '.join(fields)}"
    for name in schema["required"]:
        if given.get(name) is None:
            return f"{tool.name} needs {name!r}, such as {_example(tool)}"
    for name, each in given.items():
        if each is not None and (wrong := _wrong(name, each, fields[name])):
            return wrong
    return {name: each for name, each in given.items() if each is not None}


def _wrong(name: str, value: Any, field: Mapping[str, Any]) -> str:
    kind = _TYPES[field["type"]]
    if not isinstance(value, kind) or isinstance(value, bool):
        return f"{name}: must be of type {field['type']}"
    if kind is int and not field.get("minimum", value) <= value <= field.get("maximum", value):
        most = f" and at most {field['maximum']}" if "maximum" in field else ""
        return f"{name}: must be at least {field['minimum']}{most}"
    return ""


def _example(tool: Tool) -> str:
    samples = {
        EXPAND: {"handle": "m17"},
        SEARCH: {"query": "gate of the flight"},
        REMEMBER: {"text": "The gate is B42."},
        COMPACT: {"focus": "the refund"},
    }
    return json.dumps(samples[tool.name])
