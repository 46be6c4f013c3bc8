"""What the proxy counts, for Prometheus. No tenant, thread or model in a label: their number has no end."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contextkit.call import Call
from contextkit.usage import Usage

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """One registry a server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "contextkit_requests", "Requests answered.", ("path", "status"), registry=registry
        )
        self._tokens = Counter(
            "contextkit_tokens",
            "Tokens by the provider's own count; input includes cache_read and cache_write.",
            ("kind",),
            registry=registry,
        )
        self._actions = Counter(
            "contextkit_policy_actions",
            "Pieces that a policy left out, shortened, put in or moved.",
            ("policy", "action"),
            registry=registry,
        )
        self._turns = Counter(
            "contextkit_turns",
            "Managed turns: passed as they came, sent in another form, not recorded.",
            ("outcome",),
            registry=registry,
        )
        added = Histogram(
            "contextkit_added_seconds",
            "Time that the proxy's own work took.",
            ("step",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._assembling, self._recording = added.labels("assemble"), added.labels("record")
        self.under_way = Gauge(
            "contextkit_requests_under_way", "Requests not answered yet.", registry=registry
        )
        self.remembered = Gauge(
            "contextkit_remembered_bytes",
            "Request bodies kept to recognise what is sent again.",
            registry=registry,
        )

    def answered(self, path: str, status: int) -> None:
        self._requests.labels(path, str(status)).inc()

    def assembled(self, seconds: float, call: Call | None, as_it_came: bool) -> None:
        """A request was read and, where it is managed, its call assembled."""
        self._assembling.observe(seconds)
        if call is None:
            return
        self._turns.labels("unchanged" if as_it_came else "changed").inc()
        for decision in call.ledger.decisions:
            if decision.action != "keep":
                self._actions.labels(decision.policy, decision.action).inc()

    def recorded(self, seconds: float, usage: Usage | None) -> None:
        """A turn was stored; `usage` where the provider told it."""
        self._recording.observe(seconds)
        for name, tokens in (usage.to_dict() if usage else {}).items():
            self._tokens.labels(name.removesuffix("_tokens")).inc(tokens)

    def lost(self) -> None:
        """A turn was answered and not recorded."""
        self._turns.labels("unrecorded").inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
