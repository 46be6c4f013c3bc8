"""What a summary is asked for, what comes back, and the contract of those who make one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from contextkit.compression.base import Count
from contextkit.errors import ContextKitError
from contextkit.summaries.said import Said


class SummaryRefused(ContextKitError):
    """A way to summarise has nothing to give for this task; the next way is tried."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How summaries stand on each other: each takes `target_tokens`, for `fan_out` times as much."""

    fan_out: int
    levels: int
    target_tokens: int

    @property
    def leaf_tokens(self) -> int:
        """Tokens of entries that one summary of level 1 stands for, at the least."""
        return self.fan_out * self.target_tokens


@dataclass(frozen=True, slots=True)
class Task:
    """Entries `start <= seq < stop` as they are to be summarised."""

    start: int
    stop: int
    level: int
    said: tuple[Said, ...]
    source_tokens: int
    target_tokens: int
    count: Count


@dataclass(frozen=True, slots=True)
class Made:
    """A summary's text before it was checked."""

    text: str
    method: str
    prompt: str = ""
    model: str = ""


class Summarizer(Protocol):
    """One way to summarise."""

    kind: ClassVar[str]

    def summarize(self, task: Task) -> Made:
        """The summary, at most `target_tokens` of `task.count`. Raises `SummaryRefused`, `BackendError`."""
        ...
