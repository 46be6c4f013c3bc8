"""OpenTelemetry: spans and metrics of every call, by the gen_ai conventions. Off until asked for.

`telemetry.instrument(manager)` gives each assembled call a span `contextkit.assemble`, each model call a
span `chat {model}` and the metrics of both. Nothing that was said is exported: names, counts and money
only. Needs `pip install "contextkit[otel]"`; where the spans go is the OpenTelemetry SDK's business.

Conventions: https://github.com/open-telemetry/semantic-conventions-genai (status: development). As they
ask, `gen_ai.usage.input_tokens` includes what was read from and written to a cache.
"""

from __future__ import annotations

from typing import cast

from contextkit.backend import Backend
from contextkit.errors import ConfigError
from contextkit.manager import ContextManager

try:
    from opentelemetry import metrics, trace

    from contextkit.telemetry.observed import ObservedBackend
    from contextkit.telemetry.spans import Telemetry
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise ConfigError(
        f'telemetry: {error.name} is not installed; pip install "contextkit[otel]"'
    ) from error


def instrument(
    manager: ContextManager,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """Export spans and metrics of this manager's calls; a second time changes nothing.

    Without providers the global ones are taken, as `opentelemetry.trace` and `.metrics` have them.
    """
    if isinstance(manager.observer, Telemetry):
        return
    if manager.observer is not None:
        raise ConfigError("telemetry: this manager has another observer; take that away first")
    telemetry = Telemetry(manager.backend, tracer_provider, meter_provider)
    manager.observer = telemetry
    manager.backend = cast("Backend", ObservedBackend(manager.backend, telemetry))


def uninstrument(manager: ContextManager) -> None:
    """Export nothing any more; a manager that was not instrumented stays as it is."""
    if isinstance(manager.observer, Telemetry):
        manager.backend = manager.observer.backend
        manager.observer = None


__all__ = ["Telemetry", "instrument", "uninstrument"]
