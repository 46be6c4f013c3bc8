"""A session of the OpenAI Agents SDK whose items are a thread: append-only, in any store, of a tenant.

Alone it keeps every item as an entry. Shared with `ContextHooks` it is their thread: what the hooks
recorded of a run is not stored again when the SDK hands it to the session, the rest is appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._agents_items import items_of, units_of_items
from contextkit.adapters._forks import Forks
from contextkit.adapters._framework import missing
from contextkit.adapters._said import content_key
from contextkit.adapters._shared import parse_each
from contextkit.dialects import responses
from contextkit.instructions import instructions_of

try:
    from agents import TResponseInputItem
    from agents.memory import SessionABC
except ImportError as error:
    raise missing("openai_agents", "openai-agents", error) from error

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.messages import Message
    from contextkit.thread import Thread


class ContextSession(SessionABC):
    """The history of one conversation, whole, in the thread `session_id`.

    Items that are taken back and sessions that are cleared go on in a fork of it. Shared with
    `ContextHooks`, the very first input is stored with its answer, behind the agent's instructions.
    """

    def __init__(
        self, manager: ContextManager, session_id: str, *, tenant: str = "default"
    ) -> None:
        self.session_id = session_id
        self.manager = manager
        self.tenant = tenant
        self._forks = Forks(manager, session_id, tenant)
        self._is_shared = False
        self._seen: int | None = None
        """Entries whose items the SDK has; those behind it were recorded by the hooks."""
        self._waiting: list[Any] = []
        """Items said to a thread that has not even its instructions yet."""

    @property
    def thread(self) -> Thread:
        """The thread that holds the session now."""
        return self._forks.thread

    def current(self) -> Thread:
        """`thread`, for a worker thread."""
        return self._forks.thread

    def share(self) -> None:
        """Be the thread of `ContextHooks` too; they call it."""
        self._is_shared = True

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """All items, or the latest `limit`, in the order they were said."""
        return await bridge.call(self._read, limit)

    async def add_items(self, items: Sequence[TResponseInputItem]) -> None:
        """Store the items, all or none. Raises `InvalidMessage` naming the one that is none."""
        parse_each(responses.parse, items, "items")
        await bridge.call(self._add, list(items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the latest item back; None where there is none."""
        return await bridge.call(self._pop)

    async def clear_session(self) -> None:
        """Begin anew under the same name."""
        await bridge.call(self._clear)

    def _read(self, limit: int | None) -> list[TResponseInputItem]:
        with self._forks.lock:
            thread = self.thread
            n_entries, wanted = len(thread), None if limit is None else max(0, limit)
            # An entry holds at least one item: the newest `wanted` entries are enough, or all.
            start = 0 if wanted is None else max(0, n_entries - wanted)
            found = [*_flat(self._said(thread, start)), *self._waiting]
            self._seen = n_entries
        items = found if wanted is None else found[len(found) - min(wanted, len(found)) :]
        return cast("list[TResponseInputItem]", items)

    def _add(self, items: list[Any]) -> None:
        with self._forks.lock:
            thread = self.thread
            if self._seen is None or not self._is_shared:
                self._seen = len(thread)
            items, self._waiting = [*self._waiting, *items], []
            if self._is_shared and not len(thread) and not _is_answered(items):
                self._waiting = items
                return
            recorded = _flat(self._said(thread, self._seen))
            if _keys(items[: len(recorded)]) == _keys(recorded):
                items = items[len(recorded) :]
            else:  # the SDK keeps something else than what was answered
                self._forks.go_on_from(self._seen)
                thread = self.thread
            thread.append(self._entries(items))
            self._seen = len(thread)

    def _said(self, thread: Thread, start: int) -> list[Message]:
        """The log from `start` on; of a shared one the opening instructions are the agent's, no items."""
        found = thread.history(start)
        is_opening = self._is_shared and start == 0
        return found[len(instructions_of(found)) :] if is_opening else found

    def _entries(self, items: Sequence[Any]) -> list[Message]:
        if not self._is_shared:
            return parse_each(responses.parse, items, "items")
        return [message for unit in units_of_items(items, "items") for message in unit.messages]

    def _pop(self) -> TResponseInputItem | None:
        with self._forks.lock:
            if self._waiting:
                return cast("TResponseInputItem", self._waiting.pop())
            thread = self.thread
            n_entries = len(thread)
            found = self._said(thread, n_entries - 1) if n_entries else []
            if not found:
                return None
            *rest, last = _flat(found)
            self._forks.go_on_from(n_entries - 1)
            self.thread.append(self._entries(rest))
            self._seen = len(self.thread)
            return cast("TResponseInputItem", last)

    def _clear(self) -> None:
        with self._forks.lock:
            self._forks.go_on_from(0)
            self._seen, self._waiting = 0, []


def _is_answered(items: Sequence[Any]) -> bool:
    """Whether a model has spoken; where the hooks have not recorded that, they take no part in the run."""
    return any(m.role == "assistant" for m in parse_each(responses.parse, items, "items"))


def _flat(messages: Sequence[Message]) -> list[Any]:
    return [item for message in messages for item in items_of(message)]


def _keys(items: Sequence[Any]) -> list[bytes]:
    return [content_key(message) for message in parse_each(responses.parse, items, "items")]
