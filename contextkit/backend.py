"""The contract of backends: something that answers a sealed call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeAlias,
    runtime_checkable,
)

from contextkit.messages import Message, text_message
from contextkit.tokens import TokenCounter
from contextkit.usage import Usage

if TYPE_CHECKING:
    from contextkit.call import Call

DialectName: TypeAlias = Literal["openai", "responses", "anthropic"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, as far as assembly has to know it."""

    context_window: int | None = None
    """Tokens of input and output together, or None where it is not known."""
    dialect: DialectName = "openai"
    """Whose rules of validity its calls must keep."""
    provider: str = ""
    """Row key of the cache rules: `anthropic`, `openai`, …; empty where nothing is cached for money."""
    model: str = ""
    streaming: bool = True
    tools: bool = True
    max_input_tokens: int | None = None
    """What the input may take, where the model takes less than its window holds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: one assistant message, why it ended, and what it used."""

    message: Message
    usage: Usage | None = None
    finish_reason: str | None = None
    raw: Any = field(default=None, compare=False, repr=False)
    """The provider's own response object."""
    model: str = field(default="", compare=False, repr=False)
    """Which model answered, as the provider names it; empty where it did not say."""

    @property
    def text(self) -> str:
        return self.message.text

    @classmethod
    def of(cls, text: str, usage: Usage | None = None) -> Reply:
        """A reply that says `text`."""
        return cls(text_message("assistant", text), usage, "stop")


@dataclass(frozen=True, slots=True)
class ReplyChunk:
    """A piece of a streamed reply; the last one carries the whole `reply`."""

    text: str = ""
    reply: Reply | None = None


class Backend(Protocol):
    """Answers calls. Implementations are pydantic models: their fields are their YAML.

    Errors: `ContextOverflow`, `RateLimited`, `BackendUnavailable`, `RequestRefused`.
    """

    kind: ClassVar[str]

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def counter(self) -> TokenCounter: ...

    def complete(self, call: Call) -> Reply:
        """Ask once and wait for the whole answer."""
        ...

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask several at once; replies in the order of the calls."""
        ...

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Ask and hand on what comes; the last chunk has the whole reply."""
        ...


@runtime_checkable
class Loadable(Protocol):
    """A backend with something to bring into memory, such as weights; others need none of this.

    It loads by itself with its first call. A server calls `load` when it starts, so that what is wrong
    shows then.
    """

    def load(self) -> None:
        """Be ready to answer. Raises what the first call would; a second time it does nothing."""
        ...
