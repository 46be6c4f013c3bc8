"""OpenTelemetry: spans and metrics by the SDK's own in-memory exporters; nothing until asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import contextkit
from contextkit import telemetry
from contextkit.backend import Reply
from contextkit.errors import BudgetExceeded, ConfigError, RequestRefused
from contextkit.messages import text_message
from contextkit.usage import Usage
from tests.fakes.answers import Failure
from tests.fakes.provider import FakeProvider

SECRET = "the gate is B42"


class Seen:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])

    def watch(self, manager: contextkit.ContextManager) -> contextkit.ContextManager:
        telemetry.instrument(manager, tracer_provider=self.tracers, meter_provider=self.meters)
        return manager

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return [point for metric in found for point in metric.data.data_points]


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


def load(**more: Any) -> contextkit.ContextManager:
    return contextkit.load(
        {
            "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"},
            "budget": {"window": 600, "reply_reserve": 64},
            **more,
        }
    )


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_turn_is_two_spans_and_its_figures(seen: Seen) -> None:
    with seen.watch(load()) as cm:
        reply = cm.thread("support/42", tenant="acme").respond(SECRET)
    (assembled,) = seen.spans("contextkit.assemble")
    (asked,) = seen.spans("chat claude-sonnet-4-5")
    assert reply.usage is not None
    assert asked.kind is SpanKind.CLIENT
    assert about(assembled)["contextkit.limit_tokens"] == 536
    assert about(assembled)["gen_ai.conversation.id"] == "support/42"
    said = about(asked)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "anthropic"
    assert said["gen_ai.request.model"] == "claude-sonnet-4-5"
    assert said["gen_ai.request.max_tokens"] == 64
    assert said["contextkit.tenant"] == "acme"
    assert said["gen_ai.usage.input_tokens"] == reply.usage.input_tokens
    assert said["gen_ai.usage.output_tokens"] == reply.usage.output_tokens
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    tokens = {
        p.attributes["gen_ai.token.type"]: p.sum for p in seen.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": reply.usage.input_tokens, "output": reply.usage.output_tokens}
    (duration,) = seen.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert "error.type" not in duration.attributes
    assert "B42" not in str([s.to_json() for s in seen.exporter.get_finished_spans()])


def test_usage_includes_the_cache_and_counters_tell_it_apart(seen: Seen) -> None:
    with seen.watch(load()) as cm:
        thread = cm.thread("t")
        call = thread.assemble("hello")
        thread.record(call, Reply(text_message("assistant", "hi"), Usage(1000, 5, 700, 200, 3)))
    (asked,) = seen.spans("chat claude-sonnet-4-5")
    (assembled,) = seen.spans("contextkit.assemble")
    said = about(asked)
    assert said["gen_ai.usage.input_tokens"] == 1000
    assert said["gen_ai.usage.cache_read.input_tokens"] == 700
    assert said["gen_ai.usage.cache_creation.input_tokens"] == 200
    assert said["gen_ai.usage.reasoning.output_tokens"] == 3
    assert asked.start_time is not None
    assert assembled.start_time is not None
    assert asked.start_time >= assembled.start_time
    caches = {p.attributes["contextkit.cache"]: p.value for p in seen.points("contextkit.input")}
    assert caches == {"read": 700, "write": 200, "fresh": 100}
    assert seen.points("contextkit.cost")[0].value > 0


def test_an_assembled_call_that_is_never_sent_has_no_model_span(seen: Seen) -> None:
    with seen.watch(load()) as cm:
        cm.thread("t").assemble("hello")
        observer = cm.observer
        assert isinstance(observer, telemetry.Telemetry)
        assert not observer.n_unsent, "a call that is gone is forgotten"
    assert len(seen.spans("contextkit.assemble")) == 1
    assert not seen.spans("chat claude-sonnet-4-5")
    assert not seen.points("contextkit.decisions")


def test_decisions_are_counted_by_policy_and_moves_are_named(seen: Seen) -> None:
    with seen.watch(load(schedule=None)) as cm:
        thread = cm.thread("t")
        for turn in range(12):
            thread.respond(f"question {turn} " + "word " * 60)
        ledgers = thread.turns()
    counted: dict[tuple[str, str], int] = {}
    for decision in (d for ledger in ledgers for d in ledger.decisions):
        key = (decision.policy, decision.action)
        counted[key] = counted.get(key, 0) + 1
    points = seen.points("contextkit.decisions")
    found = {
        (p.attributes["contextkit.policy"], p.attributes["contextkit.action"]): p.value
        for p in points
    }
    assert found == counted
    assert ("sliding_window", "drop") in found
    moved = [
        about(s) for s in seen.spans("contextkit.assemble") if about(s)["contextkit.prefix.moved"]
    ]
    assert moved
    assert {row["contextkit.prefix.moved_by"] for row in moved} == {"sliding_window"}
    rewritten = sum(ledger.prefix.rewritten_tokens for ledger in ledgers)
    assert seen.points("contextkit.prefix.rewritten")[0].value == rewritten


def test_what_does_not_fit_is_an_error_of_its_span(seen: Seen) -> None:
    with seen.watch(load()) as cm, pytest.raises(BudgetExceeded):
        cm.thread("t").assemble("word " * 3000)
    (span,) = seen.spans("contextkit.assemble")
    assert span.status.status_code is StatusCode.ERROR
    assert about(span)["error.type"] == "BudgetExceeded"
    (point,) = seen.points("contextkit.assemble.duration")
    assert point.attributes == {"error.type": "BudgetExceeded"}


def test_a_refused_request_is_an_error_of_its_span(
    seen: Seen, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    backend = {"kind": "openai", "model": "gpt-4.1", "base_url": provider.openai_url}
    with seen.watch(contextkit.load({"backend": backend})) as cm:
        thread = cm.thread("t")
        thread.respond("hello")
        (span,) = seen.spans("chat gpt-4.1")
        assert about(span)["gen_ai.provider.name"] == "openai"
        assert str(about(span)["gen_ai.response.model"]).startswith("gpt-4.1")
        monkeypatch.setattr(provider, "window", 1)
        with pytest.raises(BudgetExceeded):
            thread.respond("hello " * 50)
    failed = [s for s in seen.spans("chat gpt-4.1") if s.status.status_code is StatusCode.ERROR]
    assert failed
    assert {about(s)["error.type"] for s in failed} == {"ContextOverflow"}
    types = {
        p.attributes.get("error.type") for p in seen.points("gen_ai.client.operation.duration")
    }
    assert types == {None, "ContextOverflow"}


def test_a_stream_is_one_span_and_a_reader_may_leave(seen: Seen) -> None:
    with seen.watch(load()) as cm:
        thread = cm.thread("t")
        assert "".join(chunk.text for chunk in thread.stream("one two three")) == "one two three"
        (span,) = seen.spans("chat claude-sonnet-4-5")
        said = about(span)
        assert said["gen_ai.request.stream"] is True
        assert said["gen_ai.response.time_to_first_chunk"] >= 0
        assert said["gen_ai.usage.output_tokens"] > 0
        leaving = thread.stream("four five six")
        next(leaving)
        leaving.close()  # type: ignore[attr-defined]
    left = seen.spans("chat claude-sonnet-4-5")[1]
    assert about(left)["contextkit.stopped_early"] is True
    assert left.status.status_code is StatusCode.UNSET
    assert len(seen.points("gen_ai.client.operation.time_to_first_chunk")) == 1
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_reader_that_has_the_whole_reply_has_not_left(seen: Seen) -> None:
    with seen.watch(load()) as cm:
        chunks = cm.thread("t").stream("one two three")
        assert next(chunk for chunk in chunks if chunk.reply is not None)
        chunks.close()  # type: ignore[attr-defined]
    (span,) = seen.spans("chat claude-sonnet-4-5")
    assert "contextkit.stopped_early" not in about(span)
    assert about(span)["gen_ai.usage.output_tokens"] > 0
    assert len(seen.points("gen_ai.client.operation.duration")) == 1


def test_an_error_is_exported_without_its_words(seen: Seen, provider: FakeProvider) -> None:
    backend = {"kind": "openai", "model": "gpt-4.1", "base_url": provider.openai_url}
    provider.failures = [Failure(status=400, message=f"your prompt says: {SECRET}")]
    watched = seen.watch(contextkit.load({"backend": {**backend, "api_key": "k"}}))
    with watched as cm, pytest.raises(RequestRefused, match=SECRET):
        cm.thread("t").respond(SECRET)
    (span,) = seen.spans("chat gpt-4.1")
    assert (span.status.status_code, about(span)["error.type"]) == (
        StatusCode.ERROR,
        "RequestRefused",
    )
    assert all(SECRET not in each.to_json() for each in seen.exporter.get_finished_spans())


def test_spans_stand_inside_the_callers_own(seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("mine")
    with seen.watch(load()) as cm, tracer.start_as_current_span("agent") as mine:
        cm.thread("t").respond("hello")
    inside = [*seen.spans("contextkit.assemble"), *seen.spans("chat claude-sonnet-4-5")]
    assert {s.parent.span_id for s in inside if s.parent} == {mine.get_span_context().span_id}


def test_off_again_and_never_twice(seen: Seen) -> None:
    with load() as cm:
        telemetry.uninstrument(cm)
        backend = cm.backend
        seen.watch(cm)
        watched = cm.backend
        seen.watch(cm)
        assert cm.backend is watched
        cm.thread("t").respond("hello")
        telemetry.uninstrument(cm)
        assert cm.backend is backend
        assert cm.observer is None
        cm.thread("t").respond("again")
    assert len(seen.spans("contextkit.assemble")) == 1


def test_another_observer_is_not_pushed_out() -> None:
    with load() as cm, load() as other:
        telemetry.instrument(other)
        cm.observer = object()  # type: ignore[assignment]
        with pytest.raises(ConfigError, match="another observer"):
            telemetry.instrument(cm)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import sys, contextkit; contextkit.load({}).thread('t').respond('x')\n"
            "print(any(name.startswith('opentelemetry') for name in sys.modules))",
            "False",
        ),
        (
            "import sys; sys.modules['opentelemetry'] = None\n"
            "try:\n    from contextkit import telemetry\n"
            "except Exception as error:\n    print(type(error).__name__, error)",
            'ConfigError telemetry: opentelemetry is not installed; pip install "contextkit[otel]"',
        ),
    ],
)
def test_nothing_is_loaded_until_asked_for(code: str, says: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == says, done.stderr
