"""OpenAI's chat completions as its documentation and error messages describe them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, count
from typing import Any

from .answers import Answer, Refusal, words
from .counting import (
    PrefixCache,
    cached_prefix,
    count_openai,
    count_openai_tools,
    count_text,
    openai_message,
    prefix_keys,
)

FIELDS = words(
    "messages model frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata "
    "modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop "
    "store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity"
)
MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "audio"},
    "tool": {"role", "content", "tool_call_id"},
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ids = count(1)


def validate(body: dict[str, Any], *, takes_reasoning: bool = False) -> None:
    """Raise `Refusal` the way the provider answers 400."""
    for name in body.keys() - FIELDS:
        raise Refusal(f"Unrecognized request argument supplied: {name}", param=name)
    if "stream_options" in body and not body.get("stream"):
        raise Refusal("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise Refusal(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("Invalid 'messages': empty array.", param="messages")
    for index, message in enumerate(messages):
        _message(message, f"messages[{index}]", takes_reasoning)
    _pairs(messages)
    _tools(body)


def _message(message: dict[str, Any], where: str, takes_reasoning: bool) -> None:
    role = message.get("role")
    if role not in MESSAGE_FIELDS:
        raise Refusal(f"Invalid value: '{role}'.", param=f"{where}.role")
    known = MESSAGE_FIELDS[role] | ({"reasoning_content"} if takes_reasoning else set())
    for name in message.keys() - known:
        raise Refusal(f"Unknown parameter: '{where}.{name}'.", param=f"{where}.{name}")
    content = message.get("content")
    if (
        content is None
        and role == "assistant"
        and (message.get("tool_calls") or message.get("refusal"))
    ):
        return
    if isinstance(content, list):
        if not content:
            raise Refusal(f"Invalid '{where}.content': empty array.", param=f"{where}.content")
        for part in content:
            _part(part, role, where)
    elif not isinstance(content, str):
        raise Refusal(
            f"Invalid value for 'content': expected a string, got {content}.", param=where
        )
    elif not content and role == "user":
        raise Refusal(f"Empty text at '{where}.content'.")  # stricter than the provider


def _part(part: dict[str, Any], role: str, where: str) -> None:
    allowed = {
        "user": {"text", "image_url", "input_audio", "file"},
        "assistant": {"text", "refusal"},
    }
    if part.get("type") not in allowed.get(role, {"text"}):
        raise Refusal(f"Invalid value: '{part.get('type')}'.", param=f"{where}.content")
    if part["type"] == "text" and (set(part) != {"type", "text"} or not part["text"].strip()):
        raise Refusal(f"Invalid text part at '{where}.content'.")


def _pairs(messages: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                raise Refusal(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                    f"message with 'tool_calls'. ({index})",
                    param=f"messages.[{index}].role",
                )
            waiting.remove(message["tool_call_id"])
            continue
        _all_answered(waiting)
        waiting = []
        for call in message.get("tool_calls") or ():
            if set(call) != {"id", "type", "function"} or set(call["function"]) != {
                "name",
                "arguments",
            }:
                raise Refusal(f"Invalid tool call at messages[{index}]: {call}")
            if len(call["id"]) > 40 or call["id"] in waiting:
                raise Refusal(f"Invalid 'messages[{index}].tool_calls.id': '{call['id']}'.")
            waiting.append(call["id"])
    _all_answered(waiting)


def _all_answered(waiting: list[str]) -> None:
    if waiting:
        raise Refusal(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {waiting}"
        )


def _tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if "tool_choice" in body:
            raise Refusal("'tool_choice' is only allowed when 'tools' are specified.")
        return
    if not tools:
        raise Refusal("Invalid 'tools': empty array.", param="tools")
    for tool in tools:
        function = tool.get("function") or {}
        if tool.get("type") != "function" or not _NAME.fullmatch(function.get("name", "")):
            raise Refusal(f"Invalid tool: {tool}", param="tools")
        if function.keys() - {"name", "description", "parameters", "strict"}:
            raise Refusal(f"Unknown parameter in tool {function['name']}", param="tools")


def check_window(body: dict[str, Any], window: int) -> None:
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    used = count_openai(body)
    if used > window:
        raise Refusal(
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{used} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    if used + asked > window:
        raise Refusal(
            f"This model's maximum context length is {window} tokens. However, you requested "
            f"{used + asked} tokens ({used} in the messages, {asked} in the completion). Please reduce "
            "the length of the messages or completion.",
            param="messages",
            code="context_length_exceeded",
        )


def usage(body: dict[str, Any], answer: Answer, cache: PrefixCache, minimum: int) -> dict[str, Any]:
    """Usage with what an exact-prefix cache would have read, in steps of 128 tokens."""
    pieces = [body.get("tools") or [], *body["messages"]]
    costs = [count_openai_tools(pieces[0]), *map(openai_message, body["messages"])]
    keys, totals = prefix_keys(body["model"], pieces), list(accumulate(costs))
    read = cached_prefix(cache, keys, totals)
    cached = read - read % 128 if read >= minimum else 0
    prompt = count_openai(body)
    said = (
        count_text(answer.text)
        + count_text(answer.reasoning)
        + sum(map(count_text, answer.arguments))
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": count_text(answer.reasoning)},
    }


def whole(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text or None,
        "refusal": answer.refusal or None,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{next(_ids)}",
                "type": "function",
                "function": {"name": name, "arguments": text},
            }
            for (name, _), text in zip(answer.calls, answer.arguments, strict=True)
        ]
    return {
        "id": f"chatcmpl-{next(_ids)}",
        "object": "chat.completion",
        "created": 1760000000,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": finish_reason(answer),
            }
        ],
        "usage": used,
    }


def finish_reason(answer: Answer) -> str:
    return "length" if answer.cut_at_limit else "tool_calls" if answer.calls else "stop"


def events(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a stream, without the closing [DONE]."""
    message = whole(body, answer, used)["choices"][0]["message"]
    shared = {
        "id": f"chatcmpl-{next(_ids)}",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": body["model"],
    }
    with_usage = (body.get("stream_options") or {}).get("include_usage")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**shared, "choices": [choice], **({"usage": None} if with_usage else {})}

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for field in ("reasoning_content", "content", "refusal"):
        for word in re.findall(r"\S+\s*|\s+", message.get(field) or ""):
            yield chunk({field: word})
    for index, call in enumerate(message.get("tool_calls", ())):
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [{"index": index, **head}]})
        text = call["function"]["arguments"]
        for start in range(0, len(text), 7):
            fragment = {"index": index, "function": {"arguments": text[start : start + 7]}}
            yield chunk({"tool_calls": [fragment]})
    yield chunk({}, finish_reason(answer))
    if with_usage:
        yield {**shared, "choices": [], "usage": used}
