"""Work beside the conversation: one job for each key at a time, in threads that end with the process.

A job is given the event that asks it to stop and is expected to look at it between its steps. What it
raises is kept for whoever asks, never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Event, RLock, Thread
from typing import TypeAlias

Job: TypeAlias = Callable[[Event], object]


class Background:
    """Starts jobs, waits for them, stops them. Safe to share between threads."""

    def __init__(self) -> None:
        self._stop = Event()
        self._lock = RLock()
        self._running: dict[Hashable, Thread] = {}
        self._failures: dict[Hashable, Exception] = {}

    def submit(self, key: Hashable, job: Job) -> bool:
        """Start a job; False where one of that key runs already or all was closed."""
        with self._lock:
            if self._stop.is_set() or key in self._running:
                return False
            thread = Thread(target=self._run, args=(key, job), name="contextkit", daemon=True)
            self._running[key] = thread
            thread.start()
            return True

    def failure(self, key: Hashable) -> Exception | None:
        """What the newest finished job of that key raised; None where it raised nothing."""
        with self._lock:
            return self._failures.get(key)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for every job that runs now; False where `timeout_s` seconds each were not enough."""
        with self._lock:
            running = list(self._running.values())
        for thread in running:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in running)

    def close(self) -> None:
        """Ask every job to stop and wait until it did; nothing starts after."""
        self._stop.set()
        self.wait()

    def _run(self, key: Hashable, job: Job) -> None:
        failure: Exception | None = None
        try:
            job(self._stop)
        except Exception as error:  # noqa: BLE001  handed on by `failure`
            failure = error
        with self._lock:
            del self._running[key]
            self._failures.pop(key, None)
            if failure is not None:
                self._failures[key] = failure
