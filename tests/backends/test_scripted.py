"""The scripted backend: replies in order, scripted errors, and a script that has ended."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from contextkit.backend import Reply
from contextkit.call import Call
from contextkit.errors import (
    BackendError,
    BackendUnavailable,
    ContextOverflow,
    RateLimited,
    RequestRefused,
)
from contextkit.messages import text_message
from contextkit_backends.scripted import ScriptedBackend

CALL = Call((text_message("user", "Which gate?"),), (), 0, 0, 64, (), "", None)  # type: ignore[arg-type]
TOOL_CALL = {
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "B"}'}}
    ],
}


def test_plays_in_order_and_records_the_calls() -> None:
    backend = ScriptedBackend(replies=["B12.", "At nine."])
    assert [backend.complete(CALL).text, backend.complete(CALL).text] == ["B12.", "At nine."]
    assert backend.calls == (CALL, CALL)


def test_the_end_of_the_script_is_an_error() -> None:
    backend = ScriptedBackend(replies=["B12."])
    backend.complete(CALL)
    with pytest.raises(BackendError, match="1 replies, and this is call 2"):
        backend.complete(CALL)


def test_tool_calls_can_be_scripted() -> None:
    reply = ScriptedBackend(replies=[TOOL_CALL]).complete(CALL)
    assert reply.finish_reason == "tool_calls"
    assert reply.message.role == "assistant"
    assert reply.message.tool_calls[0].arguments == '{"at": "B"}'


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"error": "overflow", "actual_tokens": 9000}, ContextOverflow),
        ({"error": "rate_limited", "retry_after_s": 2.5}, RateLimited),
        ({"error": "unavailable", "message": "cut"}, BackendUnavailable),
        ({"error": "refused"}, RequestRefused),
    ],
)
def test_errors_can_be_scripted(line: dict[str, Any], error: type[BackendError]) -> None:
    backend = ScriptedBackend(replies=[line, "after it"])
    with pytest.raises(error) as caught:
        backend.complete(CALL)
    for field in ("actual_tokens", "retry_after_s"):
        assert getattr(caught.value, field, None) == line.get(field)
    assert backend.complete(CALL).text == "after it"


def test_functions_answer() -> None:
    one = ScriptedBackend(replies=[lambda call: f"{len(call.messages)} message", Reply.of("two")])
    assert [one.complete(CALL).text, one.complete(CALL).text] == ["1 message", "two"]
    every = ScriptedBackend(replies=lambda call: call.messages[-1].text.upper())
    assert [every.complete(CALL).text for _ in range(3)] == ["WHICH GATE?"] * 3


def test_streams_and_breaks_where_told() -> None:
    backend = ScriptedBackend(
        replies=["It is gate B12.", {"error": "unavailable", "after": "It is"}]
    )
    *chunks, last = list(backend.stream(CALL))
    assert [chunk.text for chunk in chunks] == ["It", " is", " gate", " B12."]
    assert last.reply is not None
    assert last.reply.text == "It is gate B12."
    got: list[str] = []
    with pytest.raises(BackendUnavailable):
        got.extend(chunk.text for chunk in backend.stream(CALL))
    assert "".join(got) == "It is"
    assert len(backend.calls) == 2


def test_usage_is_counted() -> None:
    usage = ScriptedBackend(replies=["B12."]).complete(CALL).usage
    assert usage is not None
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


@pytest.mark.parametrize("wrong", ["one string", [3], [{"error": "?"}], [{"role": "user"}]])
def test_a_wrong_script_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="repl"):
        ScriptedBackend(replies=wrong)


def test_has_a_json_schema() -> None:
    assert ScriptedBackend.model_json_schema()["properties"]["replies"]["type"] == "array"
