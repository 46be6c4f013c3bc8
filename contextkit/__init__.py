"""contextkit: the context layer for agents.

    import contextkit
    cm = contextkit.load("agent.yaml")
    thread = cm.thread("support/42")
    reply = thread.respond("Which gate?")

Everything here is loaded on first use, so importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextkit.backend import Backend, Capabilities, Reply, ReplyChunk
    from contextkit.budget import Budget
    from contextkit.call import CachePoint, Call
    from contextkit.config import Config
    from contextkit.draft import Draft
    from contextkit.errors import (
        BackendError,
        BackendUnavailable,
        BudgetExceeded,
        ConfigError,
        ContextKitError,
        ContextOverflow,
        EmbeddingFailed,
        EngineError,
        InvalidDocument,
        InvalidMessage,
        MessageTooLarge,
        NotFinite,
        PolicyError,
        PoolExhausted,
        RateLimited,
        RequestRefused,
        StoreBusy,
        StoreCorrupt,
        StoreError,
        StoreReadOnly,
        StoreTooNew,
        UnknownHandle,
        UnknownPlugin,
        UnknownThread,
        UnsupportedModel,
        VectorsMismatch,
        ViewConflict,
    )
    from contextkit.expansion import Expansion
    from contextkit.ledger import Decision, Ledger
    from contextkit.manager import ContextManager, load
    from contextkit.messages import (
        FilePart,
        ImagePart,
        Message,
        OpaquePart,
        ReasoningPart,
        TextPart,
        ToolCallPart,
        ToolResultPart,
    )
    from contextkit.policy import Policy, Stage, Turn
    from contextkit.thread import Thread
    from contextkit.tools import Tool
    from contextkit.usage import Usage

__version__ = "0.1.0"

_HOMES = {
    "backend": ("Backend", "Capabilities", "Reply", "ReplyChunk"),
    "budget": ("Budget",),
    "call": ("CachePoint", "Call"),
    "config": ("Config",),
    "draft": ("Draft",),
    "errors": (
        "BackendError",
        "BackendUnavailable",
        "BudgetExceeded",
        "ConfigError",
        "ContextKitError",
        "ContextOverflow",
        "EmbeddingFailed",
        "EngineError",
        "InvalidDocument",
        "InvalidMessage",
        "MessageTooLarge",
        "NotFinite",
        "PolicyError",
        "PoolExhausted",
        "RateLimited",
        "RequestRefused",
        "StoreBusy",
        "StoreCorrupt",
        "StoreError",
        "StoreReadOnly",
        "StoreTooNew",
        "UnknownHandle",
        "UnknownPlugin",
        "UnknownThread",
        "UnsupportedModel",
        "VectorsMismatch",
        "ViewConflict",
    ),
    "expansion": ("Expansion",),
    "ledger": ("Decision", "Ledger"),
    "manager": ("ContextManager", "load"),
    "messages": (
        "FilePart",
        "ImagePart",
        "Message",
        "OpaquePart",
        "ReasoningPart",
        "TextPart",
        "ToolCallPart",
        "ToolResultPart",
    ),
    "policy": ("Policy", "Stage", "Turn"),
    "thread": ("Thread",),
    "tools": ("Tool",),
    "usage": ("Usage",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  pyright wants it written out
    "BackendError",
    "Backend",
    "BackendUnavailable",
    "Budget",
    "BudgetExceeded",
    "CachePoint",
    "Call",
    "Capabilities",
    "Config",
    "ConfigError",
    "ContextKitError",
    "ContextManager",
    "ContextOverflow",
    "Decision",
    "Draft",
    "EmbeddingFailed",
    "EngineError",
    "Expansion",
    "FilePart",
    "ImagePart",
    "InvalidDocument",
    "InvalidMessage",
    "Ledger",
    "Message",
    "MessageTooLarge",
    "NotFinite",
    "OpaquePart",
    "Policy",
    "PolicyError",
    "PoolExhausted",
    "RateLimited",
    "ReasoningPart",
    "Reply",
    "ReplyChunk",
    "RequestRefused",
    "Stage",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreReadOnly",
    "StoreTooNew",
    "TextPart",
    "Thread",
    "Tool",
    "ToolCallPart",
    "ToolResultPart",
    "Turn",
    "UnknownHandle",
    "UnknownPlugin",
    "UnknownThread",
    "UnsupportedModel",
    "Usage",
    "VectorsMismatch",
    "ViewConflict",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'contextkit' has no attribute {name!r}")
    value = getattr(import_module(f"contextkit.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
