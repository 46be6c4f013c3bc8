"""Anthropic's Messages API as its documentation and error messages describe it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import accumulate, count
from typing import Any

from .answers import Answer, Refusal, words
from .counting import FIVE_MINUTES, PrefixCache, count_json, count_text, prefix_keys

FIELDS = words(
    "messages model max_tokens cache_control container diagnostics metadata output_config service_tier "
    "speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p"
)
BLOCK_FIELDS = {
    "text": {"type", "text", "cache_control", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "image": {"type", "source", "cache_control"},
    "document": {"type", "source", "title", "context", "citations", "cache_control"},
}
_ROLES = {"assistant": {"text", "thinking", "redacted_thinking", "tool_use"}}
_USER = {"text", "tool_result", "image", "document"}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_ids = count(1)


def sign(thinking: str) -> str:
    return hashlib.sha256(f"seal:{thinking}".encode()).hexdigest()


def validate(body: dict[str, Any]) -> None:
    for name in body.keys() - FIELDS:
        raise Refusal(f"{name}: Extra inputs are not permitted")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise Refusal("max_tokens: Field required")
    messages = body.get("messages")
    if not messages:
        raise Refusal("messages: at least one message is required")
    for index, message in enumerate(messages):
        _message(message, f"messages.{index}", index == len(messages) - 1)
    joined = _joined(messages)
    if joined[0][0] != "user":
        raise Refusal('messages: first message must use the "user" role')
    _pairs(joined)
    _system(body.get("system"))
    for index, tool in enumerate(body.get("tools") or ()):
        if not tool.get("name") or "input_schema" not in tool:
            raise Refusal(f"tools.{index}: Field required")
        if tool.keys() - {"name", "description", "input_schema", "cache_control", "strict", "type"}:
            raise Refusal(f"tools.{index}: Extra inputs are not permitted")
    _marks(body)


def _message(message: dict[str, Any], where: str, last: bool) -> None:
    if set(message) != {"role", "content"}:
        raise Refusal(f"{where}: Extra inputs are not permitted: {sorted(message)}")
    role, content = message["role"], message["content"]
    if role not in ("user", "assistant"):
        raise Refusal(f'messages: Unexpected role "{role}".')
    if not content and not (last and role == "assistant"):
        raise Refusal(f"{where}: all messages must have non-empty content except for the optional final "
                      "assistant message")  # fmt: skip
    blocks = _blocks(content)
    for place, block in enumerate(blocks):
        _block(block, f"{where}.content.{place}", role)
    if last and role == "assistant" and blocks:
        said = blocks[-1].get("text", "")
        if said != said.rstrip():
            raise Refusal("messages: final assistant content cannot end with trailing whitespace")
    if role == "assistant" and blocks and blocks[-1]["type"].endswith("thinking"):
        raise Refusal(f"{where}: The final block in an assistant message cannot be `thinking`.")


def _block(block: dict[str, Any], where: str, role: str) -> None:
    kind = block.get("type")
    if kind not in _ROLES.get(role, _USER):
        raise Refusal(
            f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected"
        )
    for name in block.keys() - BLOCK_FIELDS[kind]:
        raise Refusal(f"{where}.{kind}.{name}: Extra inputs are not permitted")
    if kind == "text" and not block["text"].strip():
        raise Refusal("messages: text content blocks must contain non-whitespace text")
    if kind == "thinking" and block.get("signature") != sign(block["thinking"]):
        raise Refusal(f"{where}: Invalid `signature` in `thinking` block")
    if kind == "tool_use":
        if not isinstance(block.get("input"), dict):
            raise Refusal(f"{where}.tool_use.input: Input should be a valid dictionary")
        if not _ID.fullmatch(block["id"]):
            raise Refusal(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if kind == "tool_result" and isinstance(block.get("content"), list):
        for place, inner in enumerate(block["content"]):
            _block(inner, f"{where}.content.{place}", "user")


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _joined(messages: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Consecutive turns of one role count as one."""
    joined: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        if not joined or joined[-1][0] != message["role"]:
            joined.append((message["role"], []))
        joined[-1][1].extend(_blocks(message["content"]))
    return joined


def _pairs(turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
    seen: set[str] = set()
    asked: list[str] = []
    for place, (_, blocks) in enumerate(turns):
        answers = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        for answer in answers:
            if answer not in asked:
                raise Refusal(
                    f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {answer}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous "
                    "message."
                )
        missing = [call for call in asked if call not in answers]
        head = [b["type"] for b in blocks[: len(answers)]]
        if missing or (asked and set(head) != {"tool_result"}) or len(set(answers)) != len(answers):
            raise Refusal(
                f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}."
            )
        asked = [b["id"] for b in blocks if b["type"] == "tool_use"]
        if len(set(asked)) != len(asked) or seen & set(asked):
            raise Refusal("messages: `tool_use` ids must be unique")
        seen |= set(asked)
    if asked:
        raise Refusal(f"`tool_use` ids were found without `tool_result` blocks: {asked}")


def _system(system: Any) -> None:
    if system is None:
        return
    for block in _blocks(system):
        if block.get("type") != "text" or block.keys() - {
            "type",
            "text",
            "cache_control",
            "citations",
        }:
            raise Refusal("system: Input should be a valid text block")
        if not block["text"].strip():
            raise Refusal("system: text content blocks must be non-empty")


def pieces_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Every block in render order: tools, system, messages."""
    pieces = [*(body.get("tools") or ()), *_blocks(body.get("system") or [])]
    for message in body["messages"]:
        pieces += [{"role": message["role"], **block} for block in _blocks(message["content"])]
    return pieces


def _marks(body: dict[str, Any]) -> None:
    marked = [piece["cache_control"] for piece in pieces_of(body) if "cache_control" in piece]
    if "cache_control" in body:
        marked.append(body["cache_control"])
    if len(marked) > 4:
        raise Refusal(
            f"A maximum of 4 blocks with cache_control may be provided. Found {len(marked)}."
        )
    short = False
    for mark in marked:
        if mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in ("5m", "1h"):
            raise Refusal("cache_control: Input should be 'ephemeral'")
        if mark.get("ttl") == "1h" and short:
            raise Refusal("a ttl='1h' cache_control block must not come after a ttl='5m' block")
        short = short or mark.get("ttl") != "1h"


def bare(piece: Any) -> Any:
    if isinstance(piece, dict):
        return {k: bare(v) for k, v in piece.items() if k != "cache_control"}
    return [bare(inner) for inner in piece] if isinstance(piece, list) else piece


def check_window(body: dict[str, Any], window: int) -> None:
    used = sum(map(count_json, pieces_of(body)))
    if used > window:
        raise Refusal(f"prompt is too long: {used} tokens > {window} maximum")
    if used + body["max_tokens"] > window:
        raise Refusal(
            f"input length and `max_tokens` exceed context limit: {used} + {body['max_tokens']} > {window}"
            ", decrease input length or `max_tokens` and try again"
        )


def usage(body: dict[str, Any], answer: Answer, cache: PrefixCache, minimum: int) -> dict[str, Any]:
    """Reads the longest prefix written before, within 20 blocks of a mark; writes up to the last mark.

    What lies behind the prefix read and before the last mark of an hour is written for an hour, the
    rest up to the last mark for five minutes.
    """
    pieces = pieces_of(body)
    keys = prefix_keys(body["model"], [bare(piece) for piece in pieces])
    totals = list(accumulate(map(count_json, pieces)))
    marks = [
        i for i, piece in enumerate(pieces) if "cache_control" in piece and totals[i] >= minimum
    ]
    hits = [j for i in marks for j in range(max(0, i - 20), i + 1) if cache.is_live(keys[j])]
    read = totals[max(hits)] if hits else 0
    if hits:
        cache.renew(keys[max(hits)])
    written = max((totals[i] for i in marks), default=0)
    hourly = [i for i in marks if pieces[i]["cache_control"].get("ttl") == "1h"]
    for i in marks:
        cache.write(keys[i], 12 * FIVE_MINUTES if i in hourly else FIVE_MINUTES)
    for_an_hour = max(0, max((totals[i] for i in hourly), default=0) - read)
    said = (
        count_text(answer.text)
        + count_text(answer.reasoning)
        + sum(map(count_text, answer.arguments))
    )
    return {
        "input_tokens": totals[-1] - max(read, written),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": max(0, written - read),
        "cache_creation": {
            "ephemeral_1h_input_tokens": for_an_hour,
            "ephemeral_5m_input_tokens": max(0, written - read) - for_an_hour,
        },
        "output_tokens": said,
        "service_tier": "standard",
    }


def whole(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        thought = {"thinking": answer.reasoning, "signature": sign(answer.reasoning)}
        content.append({"type": "thinking", **thought})
    if answer.text or answer.refusal:
        content.append({"type": "text", "text": answer.text or answer.refusal, "citations": None})
    for name, arguments in answer.calls:
        content.append(
            {"type": "tool_use", "id": f"toolu_{next(_ids)}", "name": name, "input": arguments}
        )
    stop = "max_tokens" if answer.cut_at_limit else "tool_use" if answer.calls else "end_turn"
    return {
        "id": f"msg_{next(_ids)}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "refusal" if answer.refusal else stop,
        "stop_sequence": None,
        "usage": used,
    }


def events(body: dict[str, Any], answer: Answer, used: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message = whole(body, answer, used)
    begun = {**message, "content": [], "stop_reason": None, "usage": {**used, "output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block, answer)
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {
        "type": "message_delta",
        "delta": delta,
        "usage": {"output_tokens": used["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: dict[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    empty: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    kind = block["type"]
    yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty[kind]}}

    def delta(**fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    if kind == "tool_use":
        place = [
            call for call in answer.calls if call[0] == block["name"] and call[1] == block["input"]
        ]
        text = answer.arguments[answer.calls.index(place[0])]
        for start in range(0, len(text), 7):
            yield delta(type="input_json_delta", partial_json=text[start : start + 7])
    else:
        field = "text" if kind == "text" else "thinking"
        for word in re.findall(r"\S+\s*|\s+", block[field]):
            yield delta(type=f"{field}_delta", **{field: word})
    if kind == "thinking":
        yield delta(type="signature_delta", signature=block["signature"])
    yield {"type": "content_block_stop", "index": index}
