"""How much a model may fetch, note and ask for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

MINUTE_S = 60.0


@dataclass(frozen=True)
class Limits:
    """Guards of the tools. None lifts a limit on calls."""

    answer_tokens: int = 2000
    """Of one answer; never more than `answer_share` of what a call may hold."""
    answer_share: float = 0.25
    calls_per_turn: int | None = 8
    """Between two requests of the user."""
    calls_per_minute: int | None = None
    """For callers without turns, such as clients of the MCP server."""
    note_tokens: int = 500
    """Of one note."""
    notes: int = 200
    """Documents of a thread above which no more notes are taken."""

    def room(self, limit_tokens: int) -> int:
        """Tokens of one answer where a call holds `limit_tokens`."""
        return max(16, min(self.answer_tokens, int(self.answer_share * limit_tokens)))


@dataclass
class Gate:
    """Counts calls against the limits; `turn` is whatever tells two turns apart."""

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _turn: int | None = None
    _n_calls: int = 0
    _recent: deque[float] = field(default_factory=deque[float])
    _lock: Lock = field(default_factory=Lock)

    def refusal(self, turn: int) -> str:
        """Take one more call; why it is refused, or nothing."""
        with self._lock:
            if turn != self._turn:
                self._turn, self._n_calls = turn, 0
            most, rate, now = self.limits.calls_per_turn, self.limits.calls_per_minute, self.clock()
            while self._recent and now - self._recent[0] >= MINUTE_S:
                self._recent.popleft()
            if most is not None and self._n_calls >= most:
                return (
                    f"These tools were called {most} times for this request, which is the limit; go on "
                    "with what you have, they work again at the next request"
                )
            if rate is not None and len(self._recent) >= rate:
                wait = MINUTE_S - (now - self._recent[0])
                return f"{rate} calls a minute are the limit; wait {wait:.0f} seconds"
            self._n_calls += 1
            if rate is not None:
                self._recent.append(now)
            return ""
