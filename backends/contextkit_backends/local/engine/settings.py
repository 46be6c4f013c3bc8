"""What an engine is told once: sinks, window, pages, precision of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from contextkit.errors import ConfigError

KvFormat: TypeAlias = Literal["bf16", "int4-int8"]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Checked at construction; ConfigError names the field and what would do.

    With `window` R a token reads `sinks` first tokens, the R tokens before it, and itself (Xiao et al.
    2024, StreamingLLM). Without one it reads everything, and `sinks` is without effect.
    """

    sinks: int = 4
    window: int | None = None
    kv: KvFormat = "bf16"
    """`bf16`: keys and values in the model's dtype; `int4-int8`: full pages are quantised."""
    page_tokens: int = 64
    pool_tokens: int | None = None
    """Tokens that the cache holds over all sequences; None: from the memory that is free."""
    most_pool_tokens: int | None = None
    """Where `pool_tokens` is None, what is taken of free memory at the most."""
    chunk_tokens: int = 512
    """New tokens of one sequence that go through the model at once."""

    def __post_init__(self) -> None:
        if self.sinks < 0:
            raise ConfigError(f"sinks: {self.sinks} is negative; 0 is a window without sinks")
        if self.window is not None and self.window < max(self.sinks, 1):
            raise ConfigError(
                f"window: {self.window} tokens are fewer than the {max(self.sinks, 1)} of sinks; "
                "a window must be at least 1 and at least sinks"
            )
        if self.kv not in get_args(KvFormat):
            raise ConfigError(f"kv: {self.kv!r} is none of {', '.join(get_args(KvFormat))}")
        if self.page_tokens < 1 or self.page_tokens & (self.page_tokens - 1):
            raise ConfigError(
                f"page_tokens: {self.page_tokens} is not a power of two (16, 32, 64, 128)"
            )
        if self.chunk_tokens < 1:
            raise ConfigError(f"chunk_tokens: {self.chunk_tokens} must be at least 1")
        if self.pool_tokens is not None and self.pool_tokens < self.page_tokens:
            raise ConfigError(
                f"pool_tokens: {self.pool_tokens} is less than one page of {self.page_tokens}"
            )

    @property
    def head_tokens(self) -> int:
        """First tokens that stay visible for good; none without a window."""
        return self.sinks if self.window is not None else 0

    @property
    def context_tokens(self) -> int | None:
        """Most tokens that one token can read, itself included; None without a window."""
        return None if self.window is None else self.sinks + self.window + 1
