"""What an engine has done and holds, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counts since the engine was loaded, and its pages as they are now."""

    n_pages: int = 0
    n_free_pages: int = 0
    n_cached_pages: int = 0
    """Pages that no sequence holds and that a shared prefix may bring back."""
    n_evicted_pages: int = 0
    prefix_hit_tokens: int = 0
    prefill_tokens: int = 0
    """Tokens that went through the model."""
    avoided_tokens: int = 0
    """Tokens that did not have to: found in the prefix index, or left standing by an eviction."""
    pool_bytes: int = 0
    n_decode_steps: int = 0
    n_graphs: int = 0
    fallback: str = ""
    """How the model runs where it does not run on pages; empty where it does."""
    why: str = ""
    """Why it falls back, or why its cache cannot lose tokens; empty where neither is so."""
