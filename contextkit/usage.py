"""What a provider reports that a call has used."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `input_tokens` INCLUDES what was read from and written to a cache.

    The inclusive reading is that of OpenTelemetry's gen_ai conventions; a backend whose provider
    excludes cached tokens (Anthropic) adds them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def to_dict(self) -> dict[str, int]:
        return asdict(self)
