"""Token counts where no tokenizer is at hand: an estimate with an error bar, which learns.

The log stores what a text has, not what it costs, so that every count a provider reports improves
the numbers of the whole history at once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import ceil

from contextkit.errors import ConfigError
from contextkit.messages import Message
from contextkit.tokens.base import Measure
from contextkit.tokens.features import NO_TEXT, text_features
from contextkit.tokens.images import OpenAITiles, anthropic_cost
from contextkit.tokens.material import Dialect, Material, message_material
from contextkit.tokens.rates import FAMILIES, prior
from contextkit.tokens.tool_schemas import json_material
from contextkit.tools import Tool

UPPER_DEVIATIONS = 2.6
"""0.5 % of a Gaussian lies above; real errors have longer tails, 1 % is what is promised."""
ANTHROPIC_TOOL_TOKENS, ANTHROPIC_TOOL_UPPER = 346, 530
OPENING_UPPER = 12
"""A user text is put first where a conversation does not begin with a user's (dialects/anthropic)."""
"""Anthropic's own system prompt for tool use: 346 for Claude 4, up to 530 for some of Claude 3."""
REPLY_TOKENS = 3


class EstimatingCounter:
    """Estimates for `family` (anthropic, openai-unknown, generic) in the wire form `dialect`.

    A measure is (known tokens, slack, wire messages, text features ...). `tokens` is the mean of
    the believed rates, `upper` adds `UPPER_DEVIATIONS` standard deviations and the slack; the sum
    of two upper ends is never below the upper end of the sum. Safe to share between threads.
    """

    def __init__(self, family: str = "generic", dialect: Dialect = "openai-chat") -> None:
        if family not in FAMILIES:
            raise ConfigError(f"tokenizer: no family {family!r}; there are {', '.join(FAMILIES)}")
        self._name = f"estimate/{family}/{dialect}/1"
        self._dialect: Dialect = dialect
        self._image_price = anthropic_cost if dialect == "anthropic" else OpenAITiles().cost
        self._prior = prior(family)
        self._belief = self._prior
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Family, wire form and version of the features."""
        return self._name

    @property
    def exact(self) -> bool:
        return False

    @property
    def zero(self) -> Measure:
        return (0, 0, 0, *NO_TEXT)

    @property
    def n_observations(self) -> int:
        """How many counts were learned from; those that were not believed are not among them."""
        return self._belief.n_observations

    def measure(self, message: Message) -> Measure:
        """Known tokens, slack, wire messages and features of a message; zero where it is empty."""
        return _measure(message_material(message, self._dialect, self._image_price))

    def measure_frame(self, tools: Sequence[Tool]) -> Measure:
        """Tool schemas as JSON, what Anthropic's form may add: a first user text, a prompt for tools."""
        material = json_material(tools)
        if self._dialect == "openai-chat":
            material.known += REPLY_TOKENS
        else:
            material.add_known(0, OPENING_UPPER)
            if tools:
                material.add_known(ANTHROPIC_TOOL_TOKENS, ANTHROPIC_TOOL_UPPER)
        return _measure(material)

    def tokens(self, measure: Measure) -> int:
        """The mean."""
        return measure[0] + round(self._belief.expect(measure[2:]))

    def upper(self, measure: Measure) -> int:
        """The upper end: about 99 of 100 calls lie below."""
        belief, features = self._belief, measure[2:]
        if not any(features):
            return measure[0] + measure[1]
        above = UPPER_DEVIATIONS * belief.deviation(features)
        return measure[0] + measure[1] + ceil(belief.expect(features) + above)

    def observe(self, measure: Measure, actual_tokens: int) -> None:
        """Learn from a call's real input tokens; absurd numbers change nothing."""
        with self._lock:
            self._belief = self._belief.after(measure[2:], actual_tokens - measure[0])

    def state(self) -> str:
        """Rates, covariance and noise as JSON; empty before the first observation."""
        return "" if self._belief is self._prior else self._belief.to_json()

    def restore(self, state: str) -> None:
        """Take back a state; raises ConfigError for one of another estimator."""
        self._belief = self._prior.from_json(state) if state else self._prior


def _measure(material: Material) -> Measure:
    if len(material.texts) == 1:
        text = text_features(material.texts[0])
    else:
        rows = [NO_TEXT, *map(text_features, material.texts)]
        text = tuple(map(sum, zip(*rows, strict=True)))
    return (material.known, material.slack, material.messages, *text)
