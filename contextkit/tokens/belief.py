"""What is believed of a tokenizer's rates: a Gaussian, sharpened by every count a provider reports.

Bayesian linear regression: tokens = features . rates + noise. The rates have a mean and a
covariance; the noise is relative, since a text's own manner does not average out within one
conversation. An observation is one Kalman update. Plain Python, the same numbers in every process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from contextkit.errors import ConfigError

Vector = tuple[float, ...]

CALL_NOISE_TOKENS = 4.0
"""Standard deviation of what a call costs whatever its length."""
PLAUSIBLE_DEVIATIONS = 4.0
LARGEST_FACTOR = 8.0
"""A count so many times larger or smaller than expected is no count of this call at all."""
SURPRISE_DOUBT = 0.15
DRIFT = 0.002
"""By how much all rates together may move from one call to the next."""
WIDEST_RELATIVE = 0.5
NOISE_MEMORY = 30.0
"""The noise is an average over about so many observations."""
LEAST_NOISE = 0.03
"""Calls of one conversation resemble each other: they prove less about the next than it seems."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Mean and covariance of the rates, and the relative noise, as a standard deviation."""

    mean: Vector
    covariance: tuple[Vector, ...]
    noise: float
    floor: Vector
    n_observations: int = 0

    def expect(self, features: Sequence[int]) -> float:
        """The mean of the tokens of `features`."""
        return sum(f * rate for f, rate in zip(features, self.mean, strict=True) if f)

    def deviation(self, features: Sequence[int]) -> float:
        """The standard deviation of the tokens of `features`: rates and noise together."""
        _, spread = self._project(features)
        return sqrt(spread + self._noise_variance(self.expect(features)))

    def after(self, features: Sequence[int], tokens: float) -> Belief:
        """The belief after a call of `features` was counted at `tokens`.

        A count beyond `LARGEST_FACTOR` changes nothing. One beyond `PLAUSIBLE_DEVIATIONS` moves no
        rate and doubts their common scale instead, so that a lasting change of the tokenizer is
        believed after a few calls and a single wrong number is not.
        """
        expected = self.expect(features)
        if expected <= 0 or not expected / LARGEST_FACTOR < tokens < expected * LARGEST_FACTOR:
            return self
        gains, spread = self._project(features)
        noise = self._noise_variance(expected)
        variance, error = spread + noise, tokens - expected
        if abs(error) > PLAUSIBLE_DEVIATIONS * sqrt(variance):
            doubtful = spread > (WIDEST_RELATIVE * expected) ** 2
            return self if doubtful else self._rescalable(SURPRISE_DOUBT)
        mean = tuple(
            max(low, rate + gain * error / variance)
            for rate, gain, low in zip(self.mean, gains, self.floor, strict=True)
        )
        covariance = tuple(
            tuple(c - row_gain * gain / variance for c, gain in zip(row, gains, strict=True))
            for row, row_gain in zip(self.covariance, gains, strict=True)
        )
        weight = 1 / (min(self.n_observations, NOISE_MEMORY) + NOISE_MEMORY / 3)
        seen = max(0.0, error * error - CALL_NOISE_TOKENS**2) / expected**2 * noise / variance
        relative = sqrt(max(LEAST_NOISE**2, (1 - weight) * self.noise**2 + weight * seen))
        after = replace(
            self,
            mean=mean,
            covariance=covariance,
            noise=relative,
            n_observations=self.n_observations + 1,
        )
        return after._rescalable(DRIFT)

    def _rescalable(self, doubt: float) -> Belief:
        """The same rates, with that much more relative doubt of a factor common to all of them."""
        covariance = tuple(
            tuple(c + doubt**2 * one * other for c, other in zip(row, self.mean, strict=True))
            for row, one in zip(self.covariance, self.mean, strict=True)
        )
        return replace(self, covariance=covariance)

    def _noise_variance(self, expected: float) -> float:
        return (self.noise * expected) ** 2 + CALL_NOISE_TOKENS**2

    def _project(self, features: Sequence[int]) -> tuple[Vector, float]:
        """Covariance times features: how each rate moves; and features times that, the variance."""
        present = [(i, f) for i, f in enumerate(features) if f]
        gains = tuple(sum(row[i] * f for i, f in present) for row in self.covariance)
        return gains, max(0.0, sum(gains[i] * f for i, f in present))

    def to_json(self) -> str:
        """As JSON; floats keep every bit."""
        lower = [list(row[: i + 1]) for i, row in enumerate(self.covariance)]
        value = {
            "mean": self.mean,
            "covariance": lower,
            "noise": self.noise,
            "n_observations": self.n_observations,
        }
        return json.dumps(value, separators=(",", ":"))

    def from_json(self, text: str) -> Belief:
        """The belief that `to_json` wrote; raises ConfigError for anything else."""
        try:
            value: Mapping[str, Any] = json.loads(text)
            lower = [[float(c) for c in row] for row in value["covariance"]]
            size = range(len(self.mean))
            covariance = tuple(tuple(lower[max(i, j)][min(i, j)] for j in size) for i in size)
            mean = tuple(float(rate) for rate in value["mean"])
            if len(mean) != len(self.mean):
                raise ValueError(f"{len(mean)} rates where {len(self.mean)} are needed")
            noise, n_observations = float(value["noise"]), int(value["n_observations"])
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ConfigError(f"tokenizer state: not a state of this estimator: {error}") from error
        return replace(
            self, mean=mean, covariance=covariance, noise=noise, n_observations=n_observations
        )


def belief(rates: Vector, own: Vector, shared: float, noise: float) -> Belief:
    """A prior: every rate may be off by its `own` part, all of them together by the `shared` part.

    `own`, `shared` and `noise` are standard deviations relative to the rates.
    """
    size = range(len(rates))
    covariance = tuple(
        tuple(rates[i] * rates[j] * (shared**2 + (own[i] ** 2 if i == j else 0.0)) for j in size)
        for i in size
    )
    return Belief(rates, covariance, noise, floor=tuple(rate / 20 for rate in rates))
