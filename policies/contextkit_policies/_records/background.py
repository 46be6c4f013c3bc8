"""A build beside the conversation: started, watched, stopped after the step in work."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread


class Building:
    """Runs a build in a thread of its own, which ends with the process; what was made by then stays."""

    def __init__(self, build: Callable[[Event], int]) -> None:
        self._stop = Event()
        self._build = build
        self._n_made = 0
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="contextkit-records", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> int:
        """End after the step in work; returns how many records were made."""
        self._stop.set()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; returns how many records were made. Raises what the build raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._n_made

    def _run(self) -> None:
        try:
            self._n_made = self._build(self._stop)
        except Exception as error:  # noqa: BLE001 - handed on by `wait`
            self._error = error
