"""LlamaIndex agents with managed context: the model wrapped, or a memory where only that can be set.

    llm = wrap(OpenAI("gpt-4o"), contextkit.load("agent.yaml"))
    agent = FunctionAgent(tools=tools, llm=llm)                                  # as before

    memory = ContextMemory.of(contextkit.load("agent.yaml").thread("support/42"))
    await agent.run("Which gate?", memory=memory)

The wrapped model sees all of a request (system prompt, tools, the steps of the run under way), keeps the
budget for it and records what it used. A memory sees what LlamaIndex gives it: the messages between
runs. Leave room for the rest in `reply_reserve`. Take one of the two for a conversation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit import bridge as worker
from contextkit.adapters._framework import Assembled, Bridge, Unit, missing, units_of
from contextkit.adapters._proxy import Proxy

try:
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.memory.types import BaseMemory
except ImportError as error:
    raise missing("llama_index", "llama-index", error) from error

from contextkit.adapters import _llama_messages as forms

if TYPE_CHECKING:
    from contextkit.call import Call
    from contextkit.manager import ContextManager
    from contextkit.thread import Thread

Llm = TypeVar("Llm")


def wrap(
    llm: Llm, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
) -> Llm:
    """A stand-in for a LlamaIndex model whose chat methods, with tools or without, fit the budget.

    Without `thread` the conversation is recognised by its messages. Completion methods pass. Raises
    `BudgetExceeded` and `InvalidMessage`; after an error of the model nothing is recorded.
    """
    bridge = Bridge(manager, thread=thread, tenant=tenant)
    replaced: dict[str, Any] = {}
    for suffix, request in (("chat", _Plain), ("chat_with_tools", _WithTools)):
        for prefix, asking in (
            ("", _ask),
            ("a", _aask),
            ("stream_", _stream),
            ("astream_", _astream),
        ):
            method = getattr(llm, prefix + suffix, None)
            if method is not None:
                replaced[prefix + suffix] = partial(asking, method, bridge, request)
    return cast("Llm", Proxy(llm, replaced))


class _Plain:
    """`chat(messages, **kwargs)`: what it says, and the same with other messages."""

    def __init__(self, messages: Sequence[ChatMessage], **kwargs: Any) -> None:
        self.messages = list(messages)
        self.tools: Sequence[Any] = ()
        self._kwargs = kwargs

    def sent(self, method: Any, messages: list[ChatMessage]) -> Any:
        return method(messages, **self._kwargs)


class _WithTools:
    """`chat_with_tools(tools, user_msg, chat_history, **kwargs)`."""

    def __init__(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: Sequence[ChatMessage] | None = None,
        **kwargs: Any,
    ) -> None:
        asked = ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg
        self.messages = [*(chat_history or ()), *([asked] if asked is not None else [])]
        self.tools = tools
        self._kwargs = kwargs

    def sent(self, method: Any, messages: list[ChatMessage]) -> Any:
        return method(self.tools, chat_history=messages, **self._kwargs)


Request = Callable[..., Any]


def _begin(bridge: Bridge, request: Any) -> Assembled[ChatMessage]:
    units: list[Unit[ChatMessage]] = units_of(request.messages, forms.parse)
    return bridge.begin(units, [forms.parse_tool(tool) for tool in request.tools])


def _send(method: Any, request: Any, assembled: Assembled[ChatMessage]) -> Any:
    marks = forms.marks_of(getattr(method, "__self__", None), request.messages)
    return request.sent(method, assembled.show(forms.make, marks))


def _ask(method: Any, bridge: Bridge, form: Request, *args: Any, **kwargs: Any) -> Any:
    request = form(*args, **kwargs)
    assembled = _begin(bridge, request)
    try:
        response = _send(method, request, assembled)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = bridge.smaller(assembled, error)
        response = _send(method, request, assembled)
    bridge.finish(assembled, partial(forms.read_response, response))
    return response


async def _aask(method: Any, bridge: Bridge, form: Request, *args: Any, **kwargs: Any) -> Any:
    request = form(*args, **kwargs)
    assembled = await worker.call(_begin, bridge, request)
    try:
        response = await _send(method, request, assembled)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = await bridge.asmaller(assembled, error)
        response = await _send(method, request, assembled)
    await bridge.afinish(assembled, partial(forms.read_response, response))
    return response


def _stream(method: Any, bridge: Bridge, form: Request, *args: Any, **kwargs: Any) -> Iterator[Any]:
    request = form(*args, **kwargs)
    assembled = _begin(bridge, request)
    try:
        responses = iter(_send(method, request, assembled))
        newest = next(responses, None)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = bridge.smaller(assembled, error)
        responses = iter(_send(method, request, assembled))
        newest = next(responses, None)

    def handed_on(newest: Any) -> Iterator[Any]:
        last = newest
        while newest is not None:
            last = newest
            yield newest
            newest = next(responses, None)
        if last is not None:
            bridge.finish(assembled, partial(forms.read_response, last))

    return handed_on(newest)


async def _astream(
    method: Any, bridge: Bridge, form: Request, *args: Any, **kwargs: Any
) -> AsyncIterator[Any]:
    request = form(*args, **kwargs)
    assembled = await worker.call(_begin, bridge, request)
    try:
        responses = await _send(method, request, assembled)
        newest = await anext(responses, None)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = await bridge.asmaller(assembled, error)
        responses = await _send(method, request, assembled)
        newest = await anext(responses, None)

    async def handed_on(newest: Any) -> AsyncIterator[Any]:
        last = newest
        while newest is not None:
            last = newest
            yield newest
            newest = await anext(responses, None)
        if last is not None:
            await bridge.afinish(assembled, partial(forms.read_response, last))

    return handed_on(newest)


class ContextMemory(BaseMemory):
    """A thread as LlamaIndex's memory: `put` appends, `get` shows what fits, `get_all` everything.

    What a `get` decided is committed with the next reply that is put. Nothing is ever deleted: `set`
    and `reset` go on in a new thread.
    """

    name: str
    tenant: str = "default"

    _thread: Thread = PrivateAttr()
    _call: Call | None = PrivateAttr(default=None)
    _lock: RLock = PrivateAttr(default_factory=RLock)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serializes it under."""
        return "ContextMemory"

    @classmethod
    def of(cls, thread: Thread) -> ContextMemory:
        """The memory that `thread` is."""
        memory = cls(name=thread.name, tenant=thread.tenant)
        memory._thread = thread
        return memory

    @classmethod
    def from_defaults(cls, **kwargs: Any) -> ContextMemory:
        """The memory of `thread=`."""
        return cls.of(kwargs["thread"])

    def get(self, input: str | None = None, **kwargs: Any) -> list[ChatMessage]:
        """What fits the budget of what was said. Raises `BudgetExceeded`."""
        with self._lock:
            if not len(self._thread):
                return []
            self._call = self._thread.assemble()
            return [forms.restored(message) for message in self._call.messages]

    def get_all(self) -> list[ChatMessage]:
        """All that was put, as it was put."""
        return [forms.restored(message) for message in self._thread.history()]

    def put(self, message: ChatMessage) -> None:
        """Append one message; it is durable when this returns."""
        said = forms.stored(message)
        with self._lock:
            call, self._call = self._call, None
            if said.role == "assistant" and call and len(self._thread) == call.plan.n_entries:
                self._thread.record(call, said)
            else:
                self._thread.append(said)

    def set(self, messages: list[ChatMessage]) -> None:
        """Go on from these: what is new is appended, another course is a thread of its own."""
        said = [forms.stored(message) for message in messages]
        with self._lock:
            known = self._thread.history()
            shared = sum(1 for _ in _shared(known, said))
            if shared < len(known):
                self._thread = self._thread.fork(shared)
                self.name = self._thread.name
            self._call = None
            self._thread.append(said[shared:])

    def reset(self) -> None:
        """Go on in an empty thread."""
        self.set([])


def _shared(known: Sequence[Any], said: Sequence[Any]) -> Iterator[Any]:
    for one, other in zip(known, said, strict=False):
        if one.digest != other.digest:
            return
        yield one
