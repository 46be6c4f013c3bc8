"""Prior rates: tokens per feature of a text, by family of tokenizer, and how far they may be off.

Measured as non-negative least squares of relative errors over 5,000 texts: essays, encyclopedia,
meetings, agent transcripts, Python, JavaScript, C++, HTML, JSON, CSV, logs, base64, hex, random
letters and the Declaration of Human Rights in 32 languages. Anthropic publishes no tokenizer for
its present models; recorded runs show 1.195 and 1.242 times cl100k_base (tau2-bench, Sonnet 4.5
and Opus 4.6).
"""

from __future__ import annotations

from typing import NamedTuple

from contextkit.tokens.belief import Belief, belief
from contextkit.tokens.features import TEXT_FEATURES


class _Rate(NamedTuple):
    """Tokens per feature with two tokenizers, and the relative doubt where the third is unknown."""

    o200k: float
    cl100k: float
    doubt: float


_TEXT_RATES: dict[str, _Rate] = {
    "words": _Rate(0.842, 0.887, 0.12),
    "pieces": _Rate(0.230, 0.217, 0.25),
    "long": _Rate(7.43, 7.87, 0.30),
    "humps": _Rate(0.821, 0.802, 0.30),
    "capitals": _Rate(0.836, 0.857, 0.20),
    "numbers": _Rate(1.276, 1.284, 0.12),
    "spaced": _Rate(1.131, 1.128, 0.30),
    "marks": _Rate(0.837, 0.814, 0.12),
    "punctuation": _Rate(0.030, 0.026, 0.60),
    "blanks": _Rate(0.191, 0.174, 0.30),
    "accented": _Rate(1.429, 2.253, 0.30),
    "cyrillic": _Rate(0.315, 0.621, 0.35),
    "semitic": _Rate(0.394, 0.943, 0.35),
    "indic": _Rate(0.378, 1.232, 0.40),
    "rare": _Rate(0.800, 2.074, 0.60),
    "asian": _Rate(0.843, 1.293, 0.20),
    "symbols": _Rate(0.301, 0.200, 0.60),
    "astral": _Rate(2.468, 3.160, 0.30),
}
_MESSAGE_TOKENS, _MESSAGE_DOUBT = 4.0, 0.4
_NOISE = 0.05


class _Family(NamedTuple):
    """The share of cl100k in a family's rates, the factor over that and its doubt."""

    cl100k_share: float
    factor: float
    shared_doubt: float


_FAMILIES: dict[str, _Family] = {
    "anthropic": _Family(1.0, 1.215, 0.06),
    "openai-unknown": _Family(0.0, 1.0, 0.05),
    "generic": _Family(0.5, 1.1, 0.12),
}
FAMILIES: tuple[str, ...] = tuple(_FAMILIES)
FEATURES: tuple[str, ...] = ("messages", *TEXT_FEATURES)


def prior(family: str) -> Belief:
    """What is believed of a family's rates before any count was seen, ordered as `FEATURES`."""
    share, factor, shared = _FAMILIES[family]
    text = [_TEXT_RATES[feature] for feature in TEXT_FEATURES]
    means = [factor * (share * rate.cl100k + (1 - share) * rate.o200k) for rate in text]
    return belief(
        rates=(_MESSAGE_TOKENS, *means),
        own=(_MESSAGE_DOUBT, *(rate.doubt for rate in text)),
        shared=shared,
        noise=_NOISE,
    )
