"""A session of the OpenAI Agents SDK whose items are a thread: append-only, in any store, of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from contextkit import bridge
from contextkit.adapters._forks import Forks
from contextkit.adapters._framework import missing
from contextkit.adapters._shared import parse_each
from contextkit.dialects import responses

try:
    from agents import TResponseInputItem
    from agents.memory import SessionABC
except ImportError as error:
    raise missing("openai_agents", "openai-agents", error) from error

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.thread import Thread


class ContextSession(SessionABC):
    """The history of one conversation, whole, one item an entry of the thread `session_id`.

    Items that are taken back and sessions that are cleared go on in a fork of it.
    """

    def __init__(
        self, manager: ContextManager, session_id: str, *, tenant: str = "default"
    ) -> None:
        self.session_id = session_id
        self._forks = Forks(manager, session_id, tenant)

    @property
    def thread(self) -> Thread:
        """The thread that holds the session now."""
        return self._forks.thread

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """All items, or the latest `limit`, in the order they were said."""
        return await bridge.call(self._read, limit)

    async def add_items(self, items: Sequence[TResponseInputItem]) -> None:
        """Store the items, all or none. Raises `InvalidMessage` naming the one that is none."""
        parsed = parse_each(responses.parse, items, "items")
        await bridge.call(self.thread.append, parsed)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the latest item back; None where there is none."""
        return await bridge.call(self._pop)

    async def clear_session(self) -> None:
        """Begin anew under the same name."""
        await bridge.call(self._forks.go_on_from, 0)

    def _read(self, limit: int | None) -> list[TResponseInputItem]:
        thread = self.thread
        start = 0 if limit is None else max(0, len(thread) - max(0, limit))
        return [_item(message) for message in thread.history(start)]

    def _pop(self) -> TResponseInputItem | None:
        with self._forks.lock:
            thread = self.thread
            n_items = len(thread)
            if not n_items:
                return None
            (last,) = thread.history(n_items - 1)
            self._forks.go_on_from(n_items - 1)
            return _item(last)


def _item(message: Any) -> TResponseInputItem:
    return cast("TResponseInputItem", responses.dump(message))
