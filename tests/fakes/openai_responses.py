"""OpenAI's Responses API, as far as contextkit speaks it: items, pairing, reasoning, streaming."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, count
from typing import Any

from .answers import Answer, Refusal, words
from .counting import PrefixCache, cached_prefix, count_json, count_text, prefix_keys

FIELDS = words(
    "background context_management conversation include input instructions max_output_tokens "
    "max_tool_calls metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream "
    "stream_options temperature text tool_choice tools top_logprobs top_p truncation user"
)
ITEM_FIELDS = {
    "message": {"type", "role", "content", "id", "status", "phase"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
    "function_call_output": {"type", "id", "call_id", "output", "status"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
}
_ids = count(1)


def validate(body: dict[str, Any]) -> None:
    for name in body.keys() - FIELDS:
        raise Refusal(f"Unknown parameter: '{name}'.", param=name)
    items = body.get("input")
    if isinstance(items, str) and items:
        body["input"] = items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise Refusal("Missing required parameter: 'input'.", param="input")
    for index, item in enumerate(items):
        _item(item, f"input[{index}]")
    _pairs(items)
    _reasoning(items)
    for tool in body.get("tools") or ():
        if tool.get("type") == "function" and not tool.get("name"):
            raise Refusal("Missing required parameter: 'tools[0].name'.", param="tools")


def _item(item: dict[str, Any], where: str) -> None:
    kind = item.get("type", "message")
    if kind not in ITEM_FIELDS:
        raise Refusal(f"Invalid value: '{kind}'.", param=where)
    for name in item.keys() - ITEM_FIELDS[kind]:
        raise Refusal(f"Unknown parameter: '{where}.{name}'.", param=where)
    if kind != "message":
        return
    role, content = item.get("role"), item.get("content")
    if role not in ("system", "developer", "user", "assistant"):
        raise Refusal(f"Invalid value: '{role}'.", param=f"{where}.role")
    if not content:
        raise Refusal(f"Empty content at '{where}'.", param=where)
    if isinstance(content, list):
        right = {"output_text", "refusal"} if role == "assistant" else {
            "input_text", "input_image", "input_file"
        }  # fmt: skip
        for part in content:
            if part.get("type") not in right:
                raise Refusal(f"Invalid value: '{part.get('type')}'.", param=f"{where}.content")


def _pairs(items: list[dict[str, Any]]) -> None:
    calls = [i["call_id"] for i in items if i.get("type") == "function_call"]
    outputs = [i["call_id"] for i in items if i.get("type") == "function_call_output"]
    for call_id in calls:
        if call_id not in outputs:
            raise Refusal(f"No tool output found for function call {call_id}.", param="input")
    for index, item in enumerate(items):
        if item.get("type") != "function_call_output":
            continue
        before = [i.get("call_id") for i in items[:index] if i.get("type") == "function_call"]
        if item["call_id"] not in before:
            raise Refusal(
                f"No tool call found for function call output with call_id {item['call_id']}.",
                param="input",
            )
    if len(set(calls)) != len(calls) or len(set(outputs)) != len(outputs):
        raise Refusal("Duplicate call_id.", param="input")


def _reasoning(items: list[dict[str, Any]]) -> None:
    for item, after in zip(items, [*items[1:], {}], strict=True):
        if item.get("type") != "reasoning":
            continue
        if not str(item.get("encrypted_content", "")).startswith("sealed:"):
            raise Refusal("The encrypted content could not be verified.", param="input")
        follows = after.get("type", "message")
        if not after or (follows == "message" and after.get("role") != "assistant"):
            raise Refusal(
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required "
                "following item.",
                param="input",
            )


def check_window(body: dict[str, Any], window: int) -> None:
    used = count_json([body["input"], body.get("instructions"), body.get("tools") or []])
    if used + (body.get("max_output_tokens") or 0) > window:
        raise Refusal(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            param="input",
            code="context_length_exceeded",
        )


def usage(body: dict[str, Any], answer: Answer, cache: PrefixCache, minimum: int) -> dict[str, Any]:
    pieces = [body.get("tools") or [], body.get("instructions") or "", *body["input"]]
    keys, totals = prefix_keys(body["model"], pieces), list(accumulate(map(count_json, pieces)))
    read = cached_prefix(cache, keys, totals)
    said = count_text(answer.text) + sum(map(count_text, answer.arguments))
    return {
        "input_tokens": totals[-1],
        "input_tokens_details": {"cached_tokens": read - read % 128 if read >= minimum else 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": count_text(answer.reasoning)},
        "total_tokens": totals[-1] + said,
    }


def whole(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        item = {"type": "reasoning", "id": f"rs_{next(_ids)}", "summary": []}
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            item["encrypted_content"] = f"sealed:{answer.reasoning}"
        output.append(item)
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        output.append(
            {
                "type": "message",
                "id": f"msg_{next(_ids)}",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    for (name, _), text in zip(answer.calls, answer.arguments, strict=True):
        output.append(
            {
                "type": "function_call",
                "id": f"fc_{next(_ids)}",
                "call_id": f"call_{next(_ids)}",
                "name": name,
                "arguments": text,
                "status": "completed",
            }
        )
    return {
        "id": f"resp_{next(_ids)}",
        "object": "response",
        "created_at": 1760000000,
        "model": body["model"],
        "status": "incomplete" if answer.cut_at_limit else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if answer.cut_at_limit else None,
        "error": None,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": used,
    }


def events(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> Iterator[dict[str, Any]]:
    response = whole(body, answer, used)
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    numbers = count()

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "sequence_number": next(numbers), **fields}

    yield event("created", response=begun)
    for index, item in enumerate(response["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            yield event("output_item.added", output_index=index, item={**item, "content": []})
            empty = {"type": "output_text", "text": "", "annotations": []}
            yield event("content_part.added", **place, content_index=0, part=empty)
            for word in re.findall(r"\S+\s*|\s+", answer.text):
                yield event("output_text.delta", **place, content_index=0, delta=word, logprobs=[])
            yield event("output_text.done", **place, content_index=0, text=answer.text, logprobs=[])
        else:
            yield event("output_item.added", output_index=index, item=item)
        yield event("output_item.done", output_index=index, item=item)
    yield event("incomplete" if answer.cut_at_limit else "completed", response=response)
