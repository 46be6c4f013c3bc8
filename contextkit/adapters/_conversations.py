"""Which thread a stateless request belongs to: the one whose log is a prefix of what the user sends.

Chat loops send their whole history each time. Messages are compared by what they say, since replies
come back with fields added, dropped or reordered. Where the history takes another course than the
log (edited, regenerated, another user who began with the same words), it goes on in a fork; a fork's
name follows from the messages up to the first that differs, so it is found again by any process.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from contextkit.errors import ContextKitError, ContextOverflow, StoreError
from contextkit.messages import Message, ReasoningPart, TextPart, to_json

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.manager import ContextManager
    from contextkit.overflow import Overflow
    from contextkit.thread import Thread
    from contextkit.tools import Tool

REMEMBERED_THREADS = 256
"""Threads whose comparison keys stay in memory; others are read from the store again."""

_AGAIN = "~again"
_log = logging.getLogger("contextkit.adapters")


@dataclass(frozen=True, slots=True)
class Begun:
    """A request under way: what was said, where it belongs, what is sent for it."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    thread: Thread
    n_entries: int
    call: Call


@dataclass(slots=True)
class _Known:
    thread: Thread
    keys: list[bytes] = field(default_factory=list[bytes])


class Conversations:
    """Finds, forks and records the threads of one tenant's stateless requests.

    Safe to use from several Python threads; nothing is written before a request has succeeded.
    """

    def __init__(self, manager: ContextManager, thread: str | None, tenant: str) -> None:
        self._manager = manager
        self._name = thread
        self._tenant = tenant
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = RLock()

    def begin(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Begun:
        """Assemble the call for a full history. Raises `BudgetExceeded` and `InvalidMessage`."""
        thread, n_entries = self._place(messages)
        call = _assemble(thread, messages[n_entries:], tools)
        return Begun(tuple(messages), tuple(tools), thread, n_entries, call)

    def again(self, begun: Begun, overflow: Overflow) -> Begun:
        """The request made smaller after the provider found it too long."""
        error = ContextOverflow(
            "the provider refused the call as too long", actual_tokens=overflow.actual_tokens
        )
        said = list(begun.messages[begun.n_entries :]) or None
        call = begun.thread.corrected(begun.call, error, said, tools=begun.tools)
        return replace(begun, call=call)

    def finish(self, begun: Begun, read: Callable[[], Reply]) -> None:
        """Record what was asked and answered, as `read` gives it.

        The answer is the user's already, so what fails now is a warning in the log: whatever is
        missing comes with the next request, which repeats the whole history.
        """
        try:
            self._record(begun, read())
        except (ContextKitError, LookupError, TypeError) as error:
            _log.warning("the turn was not recorded and will be with the next one: %s", error)

    def _record(self, begun: Begun, reply: Reply) -> None:
        again = begun.thread.name.endswith(_AGAIN)
        if not again and len(begun.thread) == begun.n_entries:
            begun.thread.record(begun.call, reply)
            return
        # Someone else went on from here meanwhile, or the same was asked before: this is a fork.
        said = (*begun.messages, reply.message)
        thread, n_entries = self._place(said)
        if n_entries < len(said):
            thread.record(_assemble(thread, said[n_entries:-1], begun.tools), reply)

    def _place(self, messages: Sequence[Message]) -> tuple[Thread, int]:
        """The thread whose log is a prefix of the messages, and its length."""
        keys = [content_key(message) for message in messages]
        root = self._name or f"chat/{_digest(_opening(messages, keys))}"
        with self._lock:
            known = self._look(root)
            while True:
                shared = _shared(known.keys, keys)
                if shared == len(known.keys):
                    return known.thread, shared
                following = keys[: shared + 1]
                again = _AGAIN if shared == len(keys) else ""
                known = self._fork(known.thread, shared, f"{root}~{_digest(following)}{again}")

    def _look(self, name: str) -> _Known:
        """The thread of that name with the keys of all that its log holds now."""
        known = self._known.pop(name, None)
        if known is None:
            known = _Known(self._manager.thread(name, tenant=self._tenant))
        self._known[name] = known
        while len(self._known) > REMEMBERED_THREADS:
            self._known.popitem(last=False)
        if len(known.thread) > len(known.keys):
            added = known.thread.history(len(known.keys))
            known.keys += [content_key(message) for message in added]
        return known

    def _fork(self, parent: Thread, at: int, name: str) -> _Known:
        if name not in self._known and not self._exists(name):
            try:
                self._known[name] = _Known(parent.fork(at, name))
            except StoreError:
                if not self._exists(name):  # another process may have made it just now
                    raise
        return self._look(name)

    def _exists(self, name: str) -> bool:
        manager = self._manager
        counter = manager.counter.name
        found = manager.history.open_thread(self._tenant, name, counter=counter, create=False)
        return found is not None


def content_key(message: Message) -> bytes:
    """SHA-256 of what a message says: equal for a reply and for what users make of it.

    Fields without a place, reasoning, empty text and how text is cut into parts do not count.
    """
    parts: list[Any] = []
    text = ""
    for part in message.parts:
        if isinstance(part, TextPart):
            text += part.text
        elif not isinstance(part, ReasoningPart):
            parts.append(_bare(to_json(Message(message.role, (part,)))["parts"][0]))
    value = [message.role, message.name, text.strip(), parts]
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {k: _bare(v) for k, v in items.items() if k != "extra"}
    return [_bare(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _opening(messages: Sequence[Message], keys: list[bytes]) -> list[bytes]:
    """The keys up to the first user request: what a conversation is known by."""
    for index, message in enumerate(messages):
        if message.is_request:
            return keys[: index + 1]
    return keys[:1]


def _digest(keys: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(keys)).hexdigest()[:24]


def _shared(left: Sequence[bytes], right: Sequence[bytes]) -> int:
    """How many keys both begin with."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))


def _assemble(thread: Thread, said: Sequence[Message], tools: Sequence[Tool]) -> Call:
    return thread.assemble(list(said) or None, tools=tools)
