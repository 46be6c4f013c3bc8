"""A progress bar that stays away from short steps and from what is no terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE_S = 1.0
"""A step that is done by then shows no bar."""


class LateBar:
    """Counts from the start, shows once the step has lasted `PATIENCE_S` seconds."""

    def __init__(self, console: Console, label: str, total: int) -> None:
        self._console = console
        self._label = label
        self._total = total
        self._done = 0
        self._since = time.monotonic()
        self._shown: Progress | None = None

    def advance(self, n_steps: int = 1) -> None:
        """One more is done, or several."""
        self._done += n_steps
        late = time.monotonic() - self._since >= PATIENCE_S
        if self._shown is None and late and self._console.is_terminal:
            self._show()
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=self._done)

    def close(self) -> None:
        """Take the bar away; what was printed above it stays."""
        if self._shown is not None:
            self._shown.stop()

    def _show(self) -> None:
        self._shown = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._shown.add_task(self._label, total=self._total, completed=self._done)
        self._shown.start()
