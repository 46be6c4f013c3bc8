"""Whole answers of a provider read as a `Reply`; backends and adapters share it.

Fields that a provider always sends and that say nothing (`refusal: null`, `annotations: []`) are
left out, so that a stored reply goes back as an assistant message any server accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from contextkit.backend import Reply
from contextkit.dialects import anthropic, openai, parse_message, responses
from contextkit.dialects.fields import marked
from contextkit.dialects.streams import (
    AnthropicCollector,
    ChatCollector,
    Collector,
    ResponsesCollector,
)
from contextkit.dialects.usage import anthropic_usage, chat_usage, inner, responses_usage
from contextkit.errors import InvalidMessage
from contextkit.messages import NO_EXTRA, Message, Part, TextPart

Wire = Mapping[str, Any]
_READ = ("message", "reasoning", "function_call", "custom_tool_call")
"""Items of the Responses API that are read field by field; others are kept whole."""


def plain(value: Any) -> Any:
    """SDK objects as the dictionaries that came over the wire, at any depth; the rest as it is."""
    if hasattr(value, "to_dict"):
        return value.to_dict(warnings=False)
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_unset=True, warnings=False)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        return {k: plain(v) for k, v in items.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


def reply_of(value: Any) -> Reply:
    """A reply from what a caller holds: a provider's whole response, its message, or only its text.

    Takes SDK objects and dictionaries of Chat Completions, Responses and Anthropic Messages; from a
    whole response its usage is read too. A list holds the events of a stream that was read to its end.
    """
    if isinstance(value, Reply):
        return value
    if isinstance(value, Message):
        return Reply(value)
    if isinstance(value, str):
        return Reply.of(value)
    if isinstance(value, list | tuple):
        return _of_events(plain(value))
    wire = plain(value)
    if isinstance(wire, Mapping):
        response = cast("Wire", wire)
        if "choices" in response:
            return chat_reply(response)
        if "output" in response and "role" not in response:
            return responses_reply(response)
        if response.get("type") == "message" and "usage" in response:
            return anthropic_reply(response)
    return Reply(parse_message(wire))


def _of_events(events: Sequence[Any]) -> Reply:
    """Of the events of a stream, told apart by their form."""
    listed = [cast("Wire", event) for event in events if isinstance(event, Mapping)]
    collector: Collector = ChatCollector()
    if any(str(event.get("type")).startswith("response.") for event in listed):
        collector = ResponsesCollector()
    elif any(event.get("type") == "message_start" for event in listed):
        collector = AnthropicCollector()
    for event in listed:
        collector.add(event)
    if not collector.finished:
        raise InvalidMessage(
            "reply: a list holds the events of a stream that was read to its end; these are not all"
        )
    return collected_reply(collector)


def chat_reply(completion: Wire) -> Reply:
    """Of a chat completion, its first choice."""
    choice = completion["choices"][0]
    return Reply(
        chat_message(choice["message"]),
        chat_usage(completion.get("usage")),
        choice.get("finish_reason"),
        completion,
        completion.get("model") or "",
    )


def responses_reply(response: Wire) -> Reply:
    """Of a Responses object."""
    why: str | None = inner(response, "incomplete_details").get("reason")
    return Reply(
        responses_message(response.get("output") or ()),
        responses_usage(response.get("usage")),
        why or response.get("status"),
        response,
        response.get("model") or "",
    )


def anthropic_reply(message: Wire) -> Reply:
    """Of an Anthropic message."""
    return Reply(
        anthropic_message(message),
        anthropic_usage(message.get("usage")),
        message.get("stop_reason"),
        message,
        message.get("model") or "",
    )


def collected_reply(collector: Collector) -> Reply:
    """Of a stream that was read to its end."""
    match collector:
        case ChatCollector():
            message = chat_message(collector.wire)
        case ResponsesCollector():
            message = responses_message(collector.wire)
        case AnthropicCollector():
            message = anthropic_message(collector.wire)
        case _:
            raise TypeError(f"no reader for {type(collector).__name__}")
    return Reply(message, collector.usage, collector.finish_reason, collector.wire, collector.model)


def chat_message(wire: Wire) -> Message:
    """An assistant message as a chat completion holds it."""
    said = {name: value for name, value in wire.items() if value or name == "content"}
    for name in ("function_call", "parsed"):  # the legacy form; what the SDK read out of the text
        said.pop(name, None)
    if not said.get("reasoning_content") and isinstance(wire.get("reasoning"), str):
        said["reasoning_content"] = said.pop("reasoning")  # the name newer vLLM gives it
    if "tool_calls" in said:
        said["tool_calls"] = [_call(call) for call in said["tool_calls"]]
    return openai.parse({**said, "role": "assistant"})


def _call(call: Wire) -> dict[str, Any]:
    kept = {name: value for name, value in call.items() if name != "index"}
    if "function" in kept:
        function = kept["function"]
        kept["function"] = {"name": function["name"], "arguments": function.get("arguments") or ""}
    return kept


def anthropic_message(wire: Wire) -> Message:
    """An assistant message as Anthropic answers it."""
    return anthropic.parse({"role": "assistant", "content": _said(wire.get("content") or ())})


def responses_message(output: Iterable[Wire]) -> Message:
    """The output items of a response as one assistant message."""
    items = [responses.parse(_without_nulls(item)) for item in output]
    spoken = next((m for m in items if m.shape == "list" or m.extra), None)
    return Message(
        "assistant",
        tuple(_parts_of(items)),
        extra=spoken.extra if spoken else NO_EXTRA,
        shape="list" if spoken else "",
    )


def _parts_of(items: Iterable[Message]) -> Iterator[Part]:
    """The parts of all items; where one message follows another, its first part says so."""
    n_said = 0
    for item in items:
        parts = item.parts
        if parts and isinstance(parts[0], TextPart):
            if n_said:
                begins = marked(parts[0].extra, **{responses.NEXT: dict(item.extra)})
                parts = (replace(parts[0], extra=begins), *parts[1:])
            n_said += 1
        yield from parts


def _without_nulls(item: Wire) -> Wire:
    """An item as it is sent back; one that is kept whole may need its nulls."""
    if item.get("type", "message") not in _READ:
        return item
    return {k: v for k, v in item.items() if v is not None}


def _said(blocks: Any) -> list[dict[str, Any]]:
    """Blocks without the fields that are null, as they are sent back."""
    return [{k: v for k, v in block.items() if v is not None} for block in blocks]
