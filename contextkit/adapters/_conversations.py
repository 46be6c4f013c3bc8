"""Which thread a stateless request belongs to: the one whose log is a prefix of what the user sends.

Chat loops send their whole history each time. Messages are compared by what they say, since replies
come back with fields added, dropped or reordered. Where the history takes another course than the
log (edited, regenerated, another user who began with the same words), it goes on in a fork; a fork's
name follows from the messages up to the first that differs, so it is found again by any process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING

from contextkit.adapters._known import Known, KnownThreads
from contextkit.adapters._said import (
    INSTRUCTION,
    Answered,
    Said,
    Whole,
    content_key,
    content_keys,
    digest,
    shared,
)
from contextkit.adapters._shared import check_manager
from contextkit.errors import (
    ContextKitError,
    ContextOverflow,
    InvalidMessage,
    StoreBusy,
    StoreError,
    UnknownThread,
    ViewConflict,
)

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.ledger import Ledger
    from contextkit.manager import ContextManager
    from contextkit.messages import Message
    from contextkit.overflow import Overflow
    from contextkit.thread import Thread
    from contextkit.tools import Tool

_AGAIN = "~again"
RETRIES = 8
"""Forks tried for one answer, each found longer than it was."""
_log = logging.getLogger("contextkit.adapters")


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
        check_manager(manager)
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
        try:
            return self._begun(said, tools, name)
        except UnknownThread:  # it was forgotten meanwhile
            self._known.forget(self._tenant)
            return self._begun(said, tools, name)

    def _begun(self, said: Said, tools: Sequence[Tool], name: str | None) -> Begun:
        found, n_entries = self._place(said, name, known_is_enough=True)
        call: Call | None = None
        try:
            call = _assemble(found, said, n_entries, tools)
        except InvalidMessage:
            if len(found) == n_entries:
                raise
        if call is None or call.plan.n_entries != n_entries:
            # Another process went on with this thread: what it holds is looked at anew.
            found, n_entries = self._place(said, name)
            call = _assemble(found, said, n_entries, tools)
        return Begun(said, tuple(tools), found, n_entries, call, name)

    def again(self, begun: Begun, overflow: Overflow) -> Begun:
        """The request made smaller after the provider found it too long."""
        error = ContextOverflow(
            "the provider refused the call as too long", actual_tokens=overflow.actual_tokens
        )
        call = begun.thread.corrected(
            begun.call,
            error,
            begun.said.since(begun.n_entries) or None,
            tools=begun.tools,
            system=begun.said.instructions or None,
        )
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
        is_placed = begun.call.plan.n_entries == begun.n_entries
        if is_placed and not begun.thread.name.endswith(_AGAIN):
            with suppress(ViewConflict):
                ledger = begun.thread.record(begun.call, reply, only_next=True)
                self._remember(begun, reply)
                return ledger
        # Someone else went on from here meanwhile, or the same was asked before: this is a fork.
        said = Answered(begun.said, reply.message)
        for _ in range(RETRIES):
            thread, n_entries = self._place(said, begun.name)
            if n_entries == len(said.keys):  # the very same turn was recorded already
                return None
            call = _assemble(thread, said, n_entries, begun.tools, stop=-1)
            with suppress(ViewConflict):
                return thread.record(call, reply, only_next=True)
        raise StoreBusy(f"others went on with {begun.thread.name!r} {RETRIES} times meanwhile")

    def _remember(self, begun: Begun, reply: Reply) -> None:
        """The keys of what was just recorded, where they are the next ones; else the log tells."""
        keys, at = begun.said.keys, begun.n_entries
        with self._lock:
            known = self._known.find(self._tenant, begun.thread.name)
            if known is not None and len(known.keys) == at:
                known.keys += keys[at:]
                known.keys.append(content_key(reply.message))

    def _place(
        self, said: Said, name: str | None, known_is_enough: bool = False
    ) -> tuple[Thread, int]:
        """The thread whose log is a prefix of the messages, and its length.

        `known_is_enough`: the logs of threads at hand are taken to end where they were last seen to.
        """
        keys = said.keys
        root = name or self._known.name(self._tenant, said)
        with self._lock:
            known = self._look(root, known_is_enough)
            while True:
                reach = shared(known.keys, keys)
                if reach == len(known.keys):
                    _take_over(known.keys, keys)
                    return known.thread, reach
                again = _AGAIN if reach == len(keys) else ""
                fork = f"{root}~{digest(keys[: reach + 1])}{again}"
                known = self._fork(known, reach, fork, known_is_enough)

    def _look(self, name: str, known_is_enough: bool) -> Known:
        """The thread of that name with the keys of all that its log holds."""
        known = self._known.find(self._tenant, name)
        if known is not None and known_is_enough and known.keys:
            return known
        if known is None:
            known = Known(self._manager.thread(name, tenant=self._tenant))
            self._known.add(self._tenant, name, known)
        if len(known.thread) > len(known.keys):
            added = known.thread.history(len(known.keys))
            opens = not known.keys or known.keys[-1] == INSTRUCTION
            known.keys += content_keys(added) if opens else map(content_key, added)
        return known

    def _fork(self, parent: Known, at: int, name: str, known_is_enough: bool) -> Known:
        if self._known.find(self._tenant, name) is None and not self._exists(name):
            try:
                forked = Known(parent.thread.fork(at, name), parent.keys[:at])
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


def _take_over(known: list[bytes], keys: Sequence[bytes]) -> None:
    """The known keys become the very objects that `keys` begins with, which compare faster next time."""
    at = len(known)
    while at and known[at - 1] is not keys[at - 1]:
        at -= 1
    known[at:] = keys[at : len(known)]


def _assemble(
    thread: Thread, said: Said, start: int, tools: Sequence[Tool], stop: int | None = None
) -> Call:
    """The call for what was said from `start` on, which the thread's log does not hold yet."""
    new = said.since(start)[:stop]
    return thread.assemble(new or None, tools=tools, system=said.instructions or None)
