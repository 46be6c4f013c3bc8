"""Which counter counts for a model: its tokenizer where one ships, else an estimate that learns."""

from __future__ import annotations

import re

from contextkit.errors import ConfigError
from contextkit.tokens.base import TokenCounter
from contextkit.tokens.estimate import EstimatingCounter
from contextkit.tokens.images import OpenAITiles
from contextkit.tokens.rank_files import ENCODINGS
from contextkit.tokens.tiktoken_counter import TiktokenCounter

_O200K = re.compile(r"(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|o[134](-|$)|chatgpt|gpt-oss)")
_CL100K = re.compile(r"gpt-(4|3\.5)(-|$)")
_TILES = (
    ("gpt-4o-mini", OpenAITiles(2833, 5667)),
    ("gpt-5", OpenAITiles(70, 140)),
    ("o1", OpenAITiles(75, 150)),
    ("o3", OpenAITiles(75, 150)),
)
"""Models whose images cost other than gpt-4o's; models that count patches are priced as gpt-4o."""


def counter_for(provider: str, model: str, tokenizer: str | None = None) -> TokenCounter:
    """The counter of `model` at `provider`.

    `tokenizer`, an encoding or `estimate`, wins where given; raises ConfigError for any other.
    """
    bare = model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
    if tokenizer in ENCODINGS:
        return TiktokenCounter(tokenizer, _tiles(bare))
    if tokenizer not in (None, "estimate"):
        known = ", ".join((*ENCODINGS, "estimate"))
        raise ConfigError(f"tokenizer: no tokenizer {tokenizer!r}; there are {known}")
    if provider == "anthropic" or "claude" in bare:
        return EstimatingCounter(
            "anthropic", "anthropic" if provider == "anthropic" else "openai-chat"
        )
    if tokenizer is None and _O200K.match(bare):
        return TiktokenCounter("o200k_base", _tiles(bare))
    if tokenizer is None and _CL100K.match(bare):
        return TiktokenCounter("cl100k_base", _tiles(bare))
    return EstimatingCounter("openai-unknown" if provider == "openai" else "generic")


def estimate_note(counter: TokenCounter, model: str) -> str | None:
    """What to say where `counter` estimates because no tokenizer and no rates of `model` are known."""
    if not model or not counter.name.startswith(("estimate/openai-unknown/", "estimate/generic/")):
        return None
    return (
        f"the tokenizer of {model!r} is not known: tokens are estimated and learned from its usage; "
        f"where it has one of {', '.join(ENCODINGS)}, set backend.tokenizer"
    )


def _tiles(model: str) -> OpenAITiles | None:
    return next((tiles for prefix, tiles in _TILES if model.startswith(prefix)), None)
