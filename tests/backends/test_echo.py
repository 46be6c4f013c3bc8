"""The echo backend: what it says, what it counts, and its cache in name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contextkit.call import Call
from contextkit.errors import ContextOverflow
from contextkit.messages import Message, ToolCallPart, ToolResultPart, text_message
from contextkit.tokens import add
from contextkit.tools import Tool
from contextkit_backends.echo import EchoBackend

TOOL = Tool("look", "Looks at a gate.", {"type": "object", "properties": {}})
USER = text_message("user", "Which gate does the flight leave from?")
ANSWER = text_message("assistant", "B12.")


def call_of(*messages: Message, tools: tuple[Tool, ...] = ()) -> Call:
    return Call(messages, tools, 0, 0, 64, (), "", None)  # type: ignore[arg-type]


def tokens_of(backend: EchoBackend, call: Call) -> int:
    measure = backend.counter.measure_frame(call.tools)
    for message in call.messages:
        measure = add(measure, backend.counter.measure(message))
    return backend.counter.tokens(measure)


def test_says_the_newest_request_back() -> None:
    backend = EchoBackend(prefix="You said: ")
    reply = backend.complete(call_of(USER, ANSWER, text_message("user", "And when?")))
    assert reply.text == "You said: And when?"
    assert reply.finish_reason == "stop"


def test_tool_results_are_no_request() -> None:
    asked = Message("assistant", (ToolCallPart("call1", "look", "{}"),))
    result = Message("tool", (ToolResultPart("call1", "B12"),))
    assert EchoBackend().complete(call_of(USER, asked, result)).text == USER.text


def test_cache_reads_are_the_longest_prefix_seen() -> None:
    backend = EchoBackend()
    first = call_of(text_message("system", "Be brief."), USER)
    assert backend.complete(first).usage is not None
    longer = call_of(*first.messages, ANSWER, text_message("user", "And when?"))
    usage = backend.complete(longer).usage
    assert usage is not None
    assert usage.input_tokens == tokens_of(backend, longer)
    assert usage.cache_read_tokens == tokens_of(backend, first)


def test_a_changed_beginning_reads_nothing() -> None:
    backend = EchoBackend()
    backend.complete(call_of(USER, ANSWER, USER))
    for changed in (call_of(ANSWER, USER), call_of(USER, tools=(TOOL,))):
        usage = backend.complete(changed).usage
        assert usage is not None
        assert usage.cache_read_tokens == 0


def test_tools_alone_can_be_read_from_the_cache() -> None:
    backend = EchoBackend()
    backend.complete(call_of(USER, tools=(TOOL,)))
    usage = backend.complete(call_of(text_message("user", "Else?"), tools=(TOOL,))).usage
    assert usage is not None
    assert 0 < usage.cache_read_tokens < usage.input_tokens


def test_streams_word_by_word() -> None:
    *chunks, last = list(EchoBackend().stream(call_of(USER)))
    assert len(chunks) == len(USER.text.split())
    assert "".join(chunk.text for chunk in chunks) == USER.text
    assert last.reply is not None
    assert last.reply.text == USER.text


def test_overflow_names_the_tokens() -> None:
    backend = EchoBackend(context_window=5)
    with pytest.raises(ContextOverflow) as caught:
        backend.complete(call_of(USER))
    assert caught.value.actual_tokens == tokens_of(backend, call_of(USER))


def test_is_frozen_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError):
        EchoBackend(prefx="")  # type: ignore[call-arg]
    assert EchoBackend(dialect="anthropic").capabilities.dialect == "anthropic"


def test_complete_many_keeps_the_order() -> None:
    calls = [call_of(text_message("user", f"Question {n}")) for n in range(3)]
    assert [r.text for r in EchoBackend().complete_many(calls)] == [
        "Question 0",
        "Question 1",
        "Question 2",
    ]
