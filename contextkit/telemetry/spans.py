"""The spans of one manager: of assembling, of asking a model."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind

from contextkit.backend import Backend, Reply
from contextkit.call import Call
from contextkit.ledger import Ledger
from contextkit.telemetry.attributes import Attributes, failed, of_assembly, of_reply
from contextkit.telemetry.meters import Meters

SCOPE = "contextkit"


class Telemetry:
    """The instruments of one manager, and its observer."""

    def __init__(
        self,
        backend: Backend,
        tracer_provider: trace.TracerProvider | None,
        meter_provider: metrics.MeterProvider | None,
    ) -> None:
        self.backend = backend
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._meters = Meters(metrics.get_meter(SCOPE, meter_provider=meter_provider))
        self._unsent: dict[int, tuple[weakref.ref[Call], int]] = {}
        """Calls that were sealed and not sent by the backend: since when, ns."""
        capabilities = backend.capabilities
        self._model = capabilities.model or backend.kind
        self.request: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": capabilities.provider or backend.kind,
            "gen_ai.request.model": self._model,
        }

    @property
    def n_unsent(self) -> int:
        """Sealed calls that are still held by someone and were neither sent nor recorded."""
        return len(self._unsent)

    @contextmanager
    def assembling(self, thread: str, tenant: str) -> Generator[Callable[[Call], None]]:
        """The span of an assembly; what it raises is its error."""
        start = time.perf_counter()
        names: Attributes = {"gen_ai.conversation.id": thread, "contextkit.tenant": tenant}
        with self._tracer.start_as_current_span(
            "contextkit.assemble",
            attributes=names,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def tell(call: Call) -> None:
                span.set_attributes(of_assembly(call.ledger))
                self._meters.assembled.record(time.perf_counter() - start)
                self._remember(call)

            try:
                yield tell
            except Exception as error:
                self._meters.assembled.record(time.perf_counter() - start, failed(span, error))
                raise

    def recorded(self, call: Call, ledger: Ledger, reply: Reply) -> None:
        """The ledger's counters; and a span for a call that its user has sent himself.

        That span reaches from the end of the assembly to the recording.
        """
        self._meters.count(ledger)
        unsent = self._unsent.pop(id(call), None)
        if unsent is not None:
            start_ns = unsent[1]
            span = self.start(call, start_ns)
            self.finish(span, reply, (time.time_ns() - start_ns) / 1e9)

    def start(self, call: Call, start_ns: int | None = None, *, streams: bool = False) -> Span:
        """The span of a model call, begun."""
        about: Attributes = {
            **self.request,
            "gen_ai.conversation.id": call.ledger.thread,
            "gen_ai.request.max_tokens": call.max_output_tokens,
            "contextkit.tenant": call.tenant,
        }
        if streams:
            about["gen_ai.request.stream"] = True
        self._unsent.pop(id(call), None)
        return self._tracer.start_span(
            f"chat {self._model}", kind=SpanKind.CLIENT, attributes=about, start_time=start_ns
        )

    def finish(self, span: Span, reply: Reply, seconds: float) -> None:
        """The span ended with what came back."""
        answer = of_reply(reply)
        span.set_attributes(answer)
        span.end()
        about = self._labels(answer)
        self._meters.operation.record(seconds, about)
        if reply.usage is not None:
            counts = (("input", reply.usage.input_tokens), ("output", reply.usage.output_tokens))
            for kind, tokens in counts:
                self._meters.tokens.record(tokens, {**about, "gen_ai.token.type": kind})

    def fail(self, span: Span, error: BaseException, seconds: float) -> None:
        """The span ended with an error."""
        about = {**self.request, **failed(span, error)}
        span.end()
        self._meters.operation.record(seconds, about)

    def leave(self, span: Span) -> None:
        """The span ended because whoever read the stream stopped reading."""
        span.set_attribute("contextkit.stopped_early", True)
        span.end()

    def first_chunk(self, span: Span, seconds: float) -> None:
        """The first piece of a stream came."""
        span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
        self._meters.first_chunk.record(seconds, self.request)

    def _labels(self, answer: Attributes) -> Attributes:
        model = answer.get("gen_ai.response.model")
        return self.request if model is None else {**self.request, "gen_ai.response.model": model}

    def _remember(self, call: Call) -> None:
        key = id(call)
        gone = weakref.ref(call, lambda _: self._unsent.pop(key, None))
        self._unsent[key] = (gone, time.time_ns())
