"""What may watch a manager's threads without changing anything: set `manager.observer`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.call import Call
    from contextkit.ledger import Ledger


class Observer(Protocol):
    """Told what happens, from whichever Python thread it happens in. What it raises is raised on."""

    def assembling(
        self, thread: str, tenant: str
    ) -> AbstractContextManager[Callable[[Call], None]]:
        """Around the making of a call: entered before, given the call where one came of it."""
        ...

    def recorded(self, call: Call, ledger: Ledger, reply: Reply) -> None:
        """After a turn was stored, with its closed ledger."""
        ...
