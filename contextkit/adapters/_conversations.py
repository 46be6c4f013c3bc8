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
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Protocol, cast

from contextkit.errors import ContextKitError, ContextOverflow, InvalidMessage, StoreError
from contextkit.messages import Message, ReasoningPart, TextPart, to_json

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.ledger import Ledger
    from contextkit.manager import ContextManager
    from contextkit.overflow import Overflow
    from contextkit.thread import Thread
    from contextkit.tools import Tool

REMEMBERED_THREADS = 256
REMEMBERED_ENTRIES = 500_000
"""Threads whose comparison keys stay in memory, and entries of all of them together; others are read
from the store again."""

_AGAIN = "~again"
_log = logging.getLogger("contextkit.adapters")


class Said(Protocol):
    """A full history as a request carries it, read only as far as it has to be."""

    @property
    def keys(self) -> list[bytes]:
        """The `content_key` of every message."""
        ...

    @property
    def n_opening(self) -> int:
        """How many of the first messages a conversation is known by: up to the first user request."""
        ...

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on."""
        ...


class Whole:
    """A history whose messages are all at hand."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.keys = [content_key(message) for message in messages]
        self.n_opening = opening(messages)

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on."""
        return list(self.messages[start:])


class _Answered:
    """A history with the reply behind it."""

    def __init__(self, said: Said, reply: Message) -> None:
        self.keys = [*said.keys, content_key(reply)]
        self.n_opening = said.n_opening
        self._said = said
        self._reply = reply

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on, the reply as the last."""
        return [*self._said.since(start), self._reply] if start < len(self.keys) else []


@dataclass(frozen=True, slots=True)
class Begun:
    """A request under way: what was said, where it belongs, what is sent for it."""

    said: Said
    tools: tuple[Tool, ...]
    thread: Thread
    n_entries: int
    call: Call
    name: str | None = None
    """The thread that the request named, where it did."""


@dataclass(slots=True)
class _Known:
    thread: Thread
    keys: list[bytes] = field(default_factory=list[bytes])


class KnownThreads:
    """Threads with the keys of what their logs hold, the longest unused forgotten. Safe to share."""

    def __init__(
        self, n_threads: int = REMEMBERED_THREADS, n_entries: int = REMEMBERED_ENTRIES
    ) -> None:
        self._limits = n_threads, n_entries
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._lock = Lock()

    def find(self, tenant: str, name: str) -> _Known | None:
        """What is known of a thread, which counts as its use."""
        with self._lock:
            found = self._known.get((tenant, name))
            if found is not None:
                self._known.move_to_end((tenant, name))
            return found

    def add(self, tenant: str, name: str, known: _Known) -> None:
        """Remember a thread; it stays even where it alone is over the limits."""
        with self._lock:
            self._known[tenant, name] = known
            n_threads, n_entries = self._limits
            held = sum(len(each.keys) for each in self._known.values())
            while len(self._known) > 1 and (len(self._known) > n_threads or held > n_entries):
                _, gone = self._known.popitem(last=False)
                held -= len(gone.keys)


class Conversations:
    """Finds, forks and records the threads of one tenant's stateless requests.

    Safe to use from several Python threads; nothing is written before a request has succeeded.
    """

    def __init__(
        self,
        manager: ContextManager,
        thread: str | None,
        tenant: str,
        *,
        known: KnownThreads | None = None,
    ) -> None:
        self._manager = manager
        self._name = thread
        self._tenant = tenant
        self._known = known or KnownThreads()
        self._lock = RLock()

    def begin(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Begun:
        """Assemble the call for a full history. Raises `BudgetExceeded` and `InvalidMessage`."""
        return self.begin_said(Whole(messages), tools)

    def begin_said(self, said: Said, tools: Sequence[Tool], *, thread: str | None = None) -> Begun:
        """`begin` for a history that was read in part; `thread` names where it belongs."""
        name = thread or self._name
        found, n_entries = self._place(said, name, known_is_enough=True)
        call: Call | None = None
        try:
            call = _assemble(found, said.since(n_entries), tools)
        except InvalidMessage:
            if len(found) == n_entries:
                raise
        if call is None or call.plan.n_entries != n_entries:
            # Another process went on with this thread: what it holds is looked at anew.
            found, n_entries = self._place(said, name)
            call = _assemble(found, said.since(n_entries), tools)
        return Begun(said, tuple(tools), found, n_entries, call, name)

    def again(self, begun: Begun, overflow: Overflow) -> Begun:
        """The request made smaller after the provider found it too long."""
        error = ContextOverflow(
            "the provider refused the call as too long", actual_tokens=overflow.actual_tokens
        )
        said = begun.said.since(begun.n_entries) or None
        call = begun.thread.corrected(begun.call, error, said, tools=begun.tools)
        return replace(begun, call=call)

    def finish(self, begun: Begun, read: Callable[[], Reply]) -> Ledger | None:
        """Record what was asked and answered, as `read` gives it; None where there was nothing to.

        The answer is the user's already, so what fails now is a warning in the log: whatever is
        missing comes with the next request, which repeats the whole history.
        """
        try:
            return self._record(begun, read())
        except (ContextKitError, LookupError, TypeError) as error:
            _log.warning("the turn was not recorded and will be with the next one: %s", error)
            return None

    def _record(self, begun: Begun, reply: Reply) -> Ledger | None:
        again = begun.thread.name.endswith(_AGAIN)
        if not again and len(begun.thread) == begun.n_entries:
            ledger = begun.thread.record(begun.call, reply)
            self._remember(begun, reply, ledger)
            return ledger
        # Someone else went on from here meanwhile, or the same was asked before: this is a fork.
        said = _Answered(begun.said, reply.message)
        thread, n_entries = self._place(said, begun.name)
        if n_entries == len(said.keys):  # the very same turn was recorded already
            return None
        return thread.record(_assemble(thread, said.since(n_entries)[:-1], begun.tools), reply)

    def _remember(self, begun: Begun, reply: Reply, ledger: Ledger) -> None:
        """The keys of what was just recorded, where nobody else came first; else the log tells."""
        keys, at = begun.said.keys, begun.n_entries
        stored_up_to = max(decision.stop for decision in ledger.decisions)
        with self._lock:
            known = self._known.find(self._tenant, begun.thread.name)
            if known is not None and len(known.keys) == at and stored_up_to == len(keys):
                known.keys += keys[at:]
                known.keys.append(content_key(reply.message))

    def _place(
        self, said: Said, name: str | None, known_is_enough: bool = False
    ) -> tuple[Thread, int]:
        """The thread whose log is a prefix of the messages, and its length.

        `known_is_enough`: the logs of threads at hand are taken to end where they were last seen to.
        """
        keys = said.keys
        root = name or f"chat/{_digest(keys[: said.n_opening])}"
        with self._lock:
            known = self._look(root, known_is_enough)
            while True:
                shared = _shared(known.keys, keys)
                if shared == len(known.keys):
                    known.keys[:] = keys[:shared]  # the same objects compare faster next time
                    return known.thread, shared
                following = keys[: shared + 1]
                again = _AGAIN if shared == len(keys) else ""
                known = self._fork(
                    known, shared, f"{root}~{_digest(following)}{again}", known_is_enough
                )

    def _look(self, name: str, known_is_enough: bool) -> _Known:
        """The thread of that name with the keys of all that its log holds."""
        known = self._known.find(self._tenant, name)
        if known is not None and known_is_enough and known.keys:
            return known
        if known is None:
            known = _Known(self._manager.thread(name, tenant=self._tenant))
            self._known.add(self._tenant, name, known)
        if len(known.thread) > len(known.keys):
            added = known.thread.history(len(known.keys))
            known.keys += [content_key(message) for message in added]
        return known

    def _fork(self, parent: _Known, at: int, name: str, known_is_enough: bool) -> _Known:
        if self._known.find(self._tenant, name) is None and not self._exists(name):
            try:
                forked = _Known(parent.thread.fork(at, name), parent.keys[:at])
                self._known.add(self._tenant, name, forked)
            except StoreError:
                if not self._exists(name):  # another process may have made it just now
                    raise
        return self._look(name, known_is_enough)

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


def opening(messages: Sequence[Message]) -> int:
    """How many messages reach up to the first user request: what a conversation is known by."""
    for index, message in enumerate(messages):
        if message.is_request:
            return index + 1
    return min(1, len(messages))


def _digest(keys: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(keys)).hexdigest()[:24]


def _shared(left: Sequence[bytes], right: Sequence[bytes]) -> int:
    """How many keys both begin with."""
    reach = min(len(left), len(right))
    if left[:reach] == right[:reach]:
        return reach
    return next(index for index in range(reach) if left[index] != right[index])


def _assemble(thread: Thread, said: Sequence[Message], tools: Sequence[Tool]) -> Call:
    return thread.assemble(list(said) or None, tools=tools)
