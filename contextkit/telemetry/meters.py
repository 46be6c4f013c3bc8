"""The metrics: of model calls by the gen_ai conventions, of assembled calls in contextkit's own names."""

from __future__ import annotations

from opentelemetry import metrics

from contextkit.ledger import Ledger

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bucket boundaries of durations that the conventions ask for."""
TOKENS = tuple(4**power for power in range(14))
"""Bucket boundaries of token counts that the conventions ask for."""


class Meters:
    """The instruments of one manager."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Input and output tokens used",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self.operation = _seconds(meter, "gen_ai.client.operation.duration", "A model call")
        self.first_chunk = _seconds(
            meter, "gen_ai.client.operation.time_to_first_chunk", "Until a stream's first chunk"
        )
        self.assembled = _seconds(meter, "contextkit.assemble.duration", "The making of a call")
        self._decisions = meter.create_counter(
            "contextkit.decisions", unit="{decision}", description="Pieces of recorded calls"
        )
        self._input = meter.create_counter(
            "contextkit.input", unit="{token}", description="Input tokens by what the cache did"
        )
        self._moves = meter.create_counter(
            "contextkit.prefix.rewritten", unit="{token}", description="Written again, by policy"
        )
        self._cost = meter.create_counter(
            "contextkit.cost",
            unit="{USD}",
            description="Of recorded calls, by usage and dated prices",
        )

    def count(self, ledger: Ledger) -> None:
        """What a closed ledger adds to the counters."""
        for decision in ledger.decisions:
            self._decisions.add(
                1, {"contextkit.policy": decision.policy, "contextkit.action": decision.action}
            )
        usage = ledger.usage
        if usage is not None:
            read, write = usage.cache_read_tokens, usage.cache_write_tokens
            fresh = max(0, usage.input_tokens - read - write)
            for kind, tokens in (("read", read), ("write", write), ("fresh", fresh)):
                self._input.add(tokens, {"contextkit.cache": kind})
        if ledger.prefix.moved:
            about = {"contextkit.policy": ledger.prefix.policy or "assembly"}
            self._moves.add(ledger.prefix.rewritten_tokens, about)
        if ledger.cost_usd is not None:
            self._cost.add(ledger.cost_usd)


def _seconds(meter: metrics.Meter, name: str, about: str) -> metrics.Histogram:
    return meter.create_histogram(
        name, unit="s", description=about, explicit_bucket_boundaries_advisory=SECONDS
    )
