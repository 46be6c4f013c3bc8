"""Every error contextkit raises on purpose; each message says what failed, which, and what would work.

ContextKitError
├── ConfigError                 a YAML or constructor field is wrong, named by its path
│   └── UnknownPlugin           no policy, backend or store of that kind is installed
├── InvalidMessage              a message cannot be part of a conversation, named by its place
│   └── MessageTooLarge         it is over the size that one message may have
├── InvalidDocument             a document cannot be read, or is not what its name says
├── BudgetExceeded              what must be kept does not fit the window, named piece by piece
├── PolicyError                 a policy did what its stage or the draft does not allow
├── UnknownHandle               a handle names nothing in this thread
├── BackendError                the model could not be asked
│   ├── ContextOverflow         the provider counted more tokens than its window has
│   ├── RateLimited             the provider asks to come back later
│   ├── BackendUnavailable      no answer: dead server, cut stream, time-out
│   └── RequestRefused          the provider refused the request for another reason
├── EngineError                 the local engine could not go on with one request; the others do
│   ├── PoolExhausted           its keys and values do not fit the pool, in tokens asked and available
│   ├── NotFinite               its logits are NaN or infinite, at the named position
│   └── UnsupportedModel        the model cannot do what the settings ask, such as sinks
├── EmbeddingFailed             texts could not be turned into vectors, or into wrong ones
└── StoreError                  history could not be read or written; nothing acknowledged is lost
    ├── StoreBusy               another writer held the lock for too long
    ├── StoreReadOnly           the file or the disk does not take writes
    ├── StoreTooNew             the database was written by a newer contextkit
    ├── StoreCorrupt            a stored digest or count does not match its content
    ├── VectorsMismatch         an index holds vectors of another embedder or dimension
    └── ViewConflict            another process committed this thread's view first
"""

from __future__ import annotations


class ContextKitError(Exception):
    """The root: catch this to catch everything contextkit raises on purpose."""


class ConfigError(ContextKitError):
    """A field of the configuration is wrong; the message starts with the field's path."""


class UnknownPlugin(ConfigError):
    """No plug-in of that kind is installed; the message lists those that are."""


class InvalidMessage(ContextKitError):
    """A message cannot be part of a conversation; nothing of its batch was stored."""


class MessageTooLarge(InvalidMessage):
    """One message is larger than the log accepts."""


class InvalidDocument(ContextKitError):
    """A document cannot be read, or is not what its name says; nothing of it was stored."""


class BudgetExceeded(ContextKitError):
    """What must be kept does not fit: `needed_tokens` against `limit_tokens`, and what they are made of."""

    def __init__(
        self,
        message: str,
        *,
        needed_tokens: int,
        limit_tokens: int,
        pieces: tuple[tuple[str, int, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.needed_tokens = needed_tokens
        self.limit_tokens = limit_tokens
        self.pieces = pieces
        """(handle, tokens, why it must stay), largest first."""


class PolicyError(ContextKitError):
    """A policy did what the draft does not allow, or stands in the wrong order."""


class UnknownHandle(ContextKitError):
    """A handle names nothing in this thread."""


class BackendError(ContextKitError):
    """The model could not be asked; nothing was appended to the thread."""


class ContextOverflow(BackendError):
    """The provider counted more tokens than its window has.

    `actual_tokens` is the provider's own count where its answer names one.
    """

    def __init__(self, message: str, *, actual_tokens: int | None = None) -> None:
        super().__init__(message)
        self.actual_tokens = actual_tokens


class RateLimited(BackendError):
    """The provider asks to come back later; `retry_after_s` where it says when."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BackendUnavailable(BackendError):
    """No answer came: dead server, cut stream, time-out."""


class RequestRefused(BackendError):
    """The provider refused the request: key, model name, content."""


class EngineError(ContextKitError):
    """The local engine could not go on with one request; the engine and other requests live on."""


class PoolExhausted(EngineError):
    """The keys and values of a request do not fit the pool: `asked_tokens` against `available_tokens`."""

    def __init__(self, message: str, *, asked_tokens: int, available_tokens: int) -> None:
        super().__init__(message)
        self.asked_tokens = asked_tokens
        self.available_tokens = available_tokens


class NotFinite(EngineError):
    """The logits of a request are NaN or infinite; the message names the request and the position."""


class UnsupportedModel(EngineError, ConfigError):
    """The model cannot do what the settings ask of it, such as sinks on learned positions."""


class EmbeddingFailed(ContextKitError):
    """Texts could not be turned into vectors, or the vectors are not what the embedder promised."""


class ReplayError(ContextKitError):
    """A recording cannot be read, or not replayed the way it was asked."""


class StoreError(ContextKitError):
    """History could not be read or written; what was acknowledged before is still there."""


class UnknownThread(StoreError):
    """A thread that is not there, or was forgotten meanwhile."""


class StoreBusy(StoreError):
    """Another writer held the lock for longer than the configured time-out."""


class StoreReadOnly(StoreError):
    """The database file, its folder or the disk does not take writes."""


class StoreTooNew(StoreError):
    """The database was written by a newer contextkit than this one."""


class StoreCorrupt(StoreError):
    """A stored digest or count does not match the content it stands for."""


class VectorsMismatch(StoreError):
    """The index holds vectors of another embedder or dimension; it can be made again from the history."""


class ViewConflict(StoreError):
    """Another process committed this thread's view first; assemble again to see its view."""
