"""The contract of policies: one policy, one file, one frozen object that is its own configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from contextkit.backend import Backend
from contextkit.draft import Draft
from contextkit.pricing import CacheRule
from contextkit.tools import Tool


class Stage(IntEnum):
    """Where in the pipeline a policy belongs; the pipeline refuses a decreasing order."""

    GATHER = 1
    """Brings in: retrieved passages, records, partitioned reading."""
    SHRINK = 2
    """Takes out: clear, summarise, compress, window."""
    ARRANGE = 3
    """Orders what is left and sets cache points; changes no text."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a policy may know about the turn beside the draft."""

    query: str
    """Text of the newest user request; empty where there is none yet."""
    request: int
    """`seq` of the newest user request, -1 where there is none."""
    task: int
    """`seq` of the first user request, -1 where there is none."""
    new_from: int
    """Entries from here on were in no earlier call of this thread: editing them moves no prefix."""
    window: int
    reply_reserve: int
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    tools: tuple[Tool, ...] = ()
    rule: CacheRule | None = None
    """The cache rules of the model that will be asked, where there are any."""
    tenant: str = "default"
    thread: str = ""
    backend: Backend | None = None
    attempt: int = 0
    """0 at first; then how often the policies were asked again because the call did not fit."""

    def share_tokens(self, section: str) -> int:
        """What the budget grants a section (`shares` of the window without the reply reserve)."""
        return int(self.shares.get(section, 1.0) * (self.window - self.reply_reserve))


class Policy(BaseModel, ABC):
    """Base of every policy: a frozen pydantic model whose fields are its YAML.

    A subclass sets `kind` and `stage` and writes `apply`. It holds no state between turns: what has
    to last is a sticky edit, or is computed again from the log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    stage: ClassVar[Stage]

    @abstractmethod
    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """The draft with this policy's edits. Must not look at the clock or at chance."""
