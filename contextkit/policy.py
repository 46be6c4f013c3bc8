"""The contract of policies: one policy, one file, one frozen object that is its own configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from contextkit.backend import Backend
from contextkit.budget import input_limit
from contextkit.call import Call
from contextkit.draft import Draft
from contextkit.memo import Memo
from contextkit.pricing import CacheRule
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.recall.memory import Memory
    from contextkit.summaries.in_force import Summaries


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
    memo: Memo | None = None
    """What policies keep for the tenant; None outside a manager."""
    memory_of: Callable[[], Memory] | None = None
    """Makes the searchable memory of the thread; see `memory`."""
    summaries_of: Callable[[], Summaries] | None = None
    """Makes the summaries of the thread; see `summaries`."""
    last_call: Call | None = None
    """The call that this process recorded last in the thread, as it was sent."""
    n_calls: int = 0
    """Calls of this thread that were recorded."""
    cold: bool = False
    """Whether what the provider had cached has lapsed, so that an edit moves no prefix."""
    gaps_s: tuple[float, ...] = ()
    """Seconds between the latest calls, oldest first."""
    max_input_tokens: int | None = None
    """What the model takes of input, where that is known to be less than its window."""
    attempt: int = 0
    """0 at first; then how often the policies were asked again because the call did not fit."""

    @property
    def memory(self) -> Memory | None:
        """The thread's searchable memory, made at its first use; None outside a manager."""
        return None if self.memory_of is None else self.memory_of()

    @property
    def summaries(self) -> Summaries | None:
        """What stands for the thread's log, made at its first use; None outside a manager."""
        return None if self.summaries_of is None else self.summaries_of()

    @property
    def limit_tokens(self) -> int:
        """What the input may take: the window without the reply reserve, or what the model takes."""
        return input_limit(self.window, self.reply_reserve, self.max_input_tokens)

    def share_tokens(self, section: str) -> int:
        """What the budget grants a section (`shares` of `limit_tokens`)."""
        return int(self.shares.get(section, 1.0) * self.limit_tokens)


class Policy(BaseModel, ABC):
    """Base of every policy: a frozen pydantic model whose fields are its YAML.

    A subclass sets `kind` and `stage` and writes `apply`. It holds no state between turns: what has
    to last is a sticky edit, or is computed again from the log.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    stage: ClassVar[Stage]
    sections: ClassVar[tuple[str, ...]] = ()
    """Sections of a call that it fills, so that `budget.shares` may cap them."""

    @abstractmethod
    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """The draft with this policy's edits. Must not look at the clock or at chance."""

    def settle(self, draft: Draft, turn: Turn) -> Draft:
        """A second look, once it is decided what leaves the call and before anything is arranged.

        For what can't be known earlier: a policy of the gather stage that lowered the draft's limit in
        `apply` finds the whole limit here and fills what it set aside.
        """
        return draft
