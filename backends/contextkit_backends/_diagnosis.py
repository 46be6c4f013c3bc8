"""Asking a provider why its cache was missed: each request of a thread names the answer before it."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from contextkit.call import Call

REMEMBERED = 10_000
"""Threads whose newest answer is remembered; the one not asked for longest is forgotten first."""


class Answers:
    """The provider's id of the newest answer in each thread, as long as this process lasts."""

    def __init__(self) -> None:
        self._ids: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def before(self, call: Call) -> str | None:
        """The answer that the call's thread had last; None where this process knows of none."""
        with self._lock:
            return self._ids.get(_thread_of(call))

    def remember(self, call: Call, answer: object) -> None:
        """Take the id of an answer, where it has one."""
        if not isinstance(answer, str) or not answer:
            return
        with self._lock:
            self._ids[_thread_of(call)] = answer
            self._ids.move_to_end(_thread_of(call))
            if len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)


def _thread_of(call: Call) -> tuple[str, str]:
    return call.tenant, call.ledger.thread
