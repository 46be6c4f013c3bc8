"""What the backends behind an API share: settings, the client's life, errors, asking several at once.

The SDKs are imported when the first call is made, so that naming a backend in a YAML costs nothing
and a missing SDK is one clear sentence.
"""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SecretStr,
)

from contextkit.backend import Reply
from contextkit.errors import ConfigError, ContextKitError

from ._diagnosis import Answers
from ._failures import describe

if TYPE_CHECKING:
    from types import ModuleType

    from contextkit.call import Call


class RemoteBackend(BaseModel, ABC):
    """Settings and machinery of a backend that asks a provider over HTTP.

    Safe to use from several threads. The key shows neither in `repr` nor in errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sdk: ClassVar[str]
    """Name of the SDK's module, which is also the name of contextkit's extra."""
    key_variable: ClassVar[str]
    """The environment variable that the SDK reads the key from."""

    model: str = Field(min_length=1, examples=["gpt-4.1-mini"])
    """The model's name as the provider spells it."""
    base_url: str | None = None
    """Where the API is; the provider's own address by default."""
    api_key: SecretStr | None = None
    """Taken from the environment by default."""
    window: PositiveInt | None = None
    """Tokens of input and output together; by default what is known of the model."""
    max_input_tokens: PositiveInt | None = None
    """Tokens of input, where the model takes fewer than its window; by default what is known of it."""
    tokenizer: str | None = None
    """Counts with this tokenizer instead of the one that belongs to the model's name."""
    temperature: float | None = None
    """Sent with every request; by default the provider's own."""
    timeout_s: PositiveFloat = 600.0
    """Seconds until a request without an answer is given up."""
    max_retries: int = Field(default=2, ge=0)
    """How often the SDK asks again by itself after 429, 5xx or a lost connection."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Sent with every request as it is: what this provider has beside the common fields."""
    diagnostics: bool = False
    """Ask with every request why the prompt cache was missed; the verdict goes into the ledger."""
    max_concurrency: PositiveInt = 8
    """How many calls `complete_many` keeps under way."""

    _client: Any = PrivateAttr(default=None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _answers: Answers = PrivateAttr(default_factory=Answers)

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be installed before a model can be asked."""
        return (self.sdk,)

    @property
    def extra(self) -> str:
        """The extra of contextkit that brings it."""
        return self.sdk

    @abstractmethod
    def complete(self, call: Call) -> Reply:
        """Ask once and wait for the whole answer."""

    def complete_many(self, calls: Sequence[Call]) -> list[Reply]:
        """Ask several at once; replies in the order of the calls.

        The first error is raised; calls not begun by then are not made.
        """
        if not calls:
            return []
        self.client  # noqa: B018  one clear error here rather than one in each thread
        with ThreadPoolExecutor(min(self.max_concurrency, len(calls))) as pool:
            waiting = [pool.submit(self.complete, call) for call in calls]
            try:
                return [future.result() for future in waiting]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @property
    def client(self) -> Any:
        """The SDK's client, made at its first use."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def close(self) -> None:
        """Give back the connections; a later call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Which model where, for error messages; a password in the address is left out."""
        if self.base_url is None:
            return f"{self.model} at {self.sdk}"
        parts = urlsplit(self.base_url)
        return (
            f"{self.model} at {urlunsplit(parts._replace(netloc=parts.netloc.rpartition('@')[2]))}"
        )

    @contextmanager
    def telling(self) -> Generator[None]:
        """Turn what the SDK and the transport raise into contextkit's errors."""
        try:
            yield
        except ContextKitError:
            raise
        except Exception as error:
            told = describe(error, self.sdk, self.place, self.key_variable, self._secrets())
            if told is None:
                raise
            raise told from error

    def _remember(self, call: Call, answer: Mapping[str, Any]) -> None:
        """What the thread's next request is to be compared with."""
        if self.diagnostics:
            self._answers.remember(call, answer.get("id"))

    def _secrets(self) -> tuple[str, ...]:
        given = self.api_key.get_secret_value() if self.api_key else ""
        used = getattr(self._client, "api_key", None)
        return tuple(s for s in (given, used) if isinstance(s, str) and len(s) > 3)

    def _open(self) -> Any:
        with self.telling():
            return self._make(load_sdk(self.sdk), **self._client_options())

    @abstractmethod
    def _make(self, sdk: ModuleType, **options: Any) -> Any:
        """The SDK's synchronous client."""

    def _client_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"timeout": self.timeout_s, "max_retries": self.max_retries}
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.api_key is not None:
            options["api_key"] = self.api_key.get_secret_value()
        return options

    def _settings(self) -> dict[str, Any]:
        """The request fields that come from this backend and not from the call.

        The temperature goes beside the SDK's own parameters: not every version of them has it.
        """
        warmth = {} if self.temperature is None else {"temperature": self.temperature}
        body = {**warmth, **self.extra_body}
        return {"model": self.model} | ({"extra_body": body} if body else {})


def load_sdk(name: str) -> ModuleType:
    """The SDK's module. Raises `ConfigError` where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigError(
            f"backend.kind: {name!r} needs the {name} SDK, which is not installed; "
            f'pip install "contextkit[{name}]"'
        ) from None
