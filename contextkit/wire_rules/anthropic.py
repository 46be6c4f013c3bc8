"""What the Anthropic API refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contextkit.wire_rules.checks import Findings, items, unanswered

_THINKING = ("thinking", "redacted_thinking")
_NEEDED = {
    "text": "text",
    "thinking": "thinking signature",
    "redacted_thinking": "data",
    "tool_use": "id name input",
    "tool_result": "tool_use_id",
    "image": "source",
    "document": "source",
}
_ALLOWED = {
    "text": "cache_control citations",
    "tool_use": "cache_control caller toolset_name",
    "tool_result": "cache_control content is_error toolset_name",
    "image": "cache_control transformations",
    "document": "cache_control citations context title",
}
_SOURCES = {
    "base64": "media_type data",
    "text": "media_type data",
    "url": "url",
    "file": "file_id",
    "content": "content",
}
_ID = r"[a-zA-Z0-9_-]+"


def problems(request: Mapping[str, Any]) -> list[str]:
    """What the provider would refuse in `system`, `messages` and `tools`."""
    check = Findings()
    check.fields(request, "messages", "system tools", "request")
    messages = items(request.get("messages"))
    check.is_json(request)
    for i, block in enumerate(items(request.get("system"))):
        check.need(block.get("type") == "text", f"system.{i}.type", "must be text")
        _block(check, block, "system", f"system.{i}")
    if check.need(messages, "messages", "must not be empty"):
        check.need(messages[0].get("role") == "user", "messages.0", "must be the user's")
    ids: set[str] = set()
    asked: list[str] = []
    role = ""
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        check.fields(message, "role content", "", where)
        check.need(message.get("role") in ("user", "assistant"), f"{where}.role", "is unknown")
        check.need(message.get("role") != role, f"{where}.role", "two of one role stand together")
        role = str(message.get("role"))
        asked = _message(check, _blocks(message.get("content")), role, where, asked, ids)
    check.need(not asked, "messages", f"calls {asked} have no result")
    if messages and role == "assistant":
        _end(check, _blocks(messages[-1].get("content")))
    _marks(check, request)
    _tools(check, request)
    return check.found


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else items(content)


def _message(
    check: Findings,
    blocks: list[Mapping[str, Any]],
    role: str,
    where: str,
    asked: list[str],
    ids: set[str],
) -> list[str]:
    check.need(blocks, f"{where}.content", "must not be empty")
    for i, block in enumerate(blocks):
        _block(check, block, role, f"{where}.content.{i}")
    answers = [str(b.get("tool_use_id")) for b in blocks if b.get("type") == "tool_result"]
    check.need(
        not (missing := unanswered(asked, answers)), where, f"calls {missing} have no result"
    )
    check.need(not (stray := unanswered(answers, asked)), where, f"results of {stray} have no call")
    check.need(len(set(answers)) == len(answers), where, "a call is answered twice")
    kinds = [b.get("type") == "tool_result" for b in blocks]
    check.need(kinds == sorted(kinds, reverse=True), where, "results must stand first")
    calls = [str(b.get("id")) for b in blocks if b.get("type") == "tool_use"]
    for call in calls:
        check.need(call not in ids, where, f"call id {call!r} is used twice")
        ids.add(call)
    ends = blocks and role == "assistant" and blocks[-1].get("type") in _THINKING
    check.need(not ends, where, "the last block of an assistant message cannot be thinking")
    return calls


def _block(check: Findings, block: Mapping[str, Any], role: str, where: str) -> None:
    kind = str(block.get("type"))
    if kind not in _NEEDED:
        check.need(kind != "None", f"{where}.type", "is missing")
        return
    check.fields(block, f"type {_NEEDED[kind]}", _ALLOWED.get(kind, ""), where)
    assistants = kind in (*_THINKING, "tool_use")
    check.need(not assistants or role == "assistant", where, f"{kind} is not the {role}'s")
    users = kind in ("tool_result", "image", "document")
    check.need(not users or role in ("user", "result"), where, f"{kind} is not the {role}'s")
    if kind == "text":
        check.text(block.get("text"), f"{where}.text")
    elif kind == "thinking":
        check.text(block.get("signature"), f"{where}.signature")
    elif kind == "tool_use":
        check.call_id(block.get("id"), f"{where}.id", 128, _ID)
        check.tool_name(block.get("name"), f"{where}.name")
        check.need(isinstance(block.get("input"), dict), f"{where}.input", "must be an object")
    elif kind == "tool_result":
        for i, inner in enumerate(_blocks(block.get("content") or [])):
            if not isinstance(block.get("content"), str):
                _block(check, inner, "result", f"{where}.content.{i}")
    elif users:
        _source(check, block.get("source") or {}, f"{where}.source")


def _source(check: Findings, source: Mapping[str, Any], where: str) -> None:
    kind = str(source.get("type"))
    if check.need(kind in _SOURCES, f"{where}.type", f"{kind!r} is unknown"):
        check.fields(source, f"type {_SOURCES[kind]}", "", where)
        for name in _SOURCES[kind].split():
            check.need(source.get(name), f"{where}.{name}", "must not be empty")


def _end(check: Findings, blocks: list[Mapping[str, Any]]) -> None:
    text = blocks[-1].get("text", "") if blocks else ""
    check.need(text == text.rstrip(), "messages", "the final text ends with white space")


def _marks(check: Findings, request: Mapping[str, Any]) -> None:
    marks: list[str] = []
    for block in _rendered(request):
        mark = block.get("cache_control")
        if mark is None:
            continue
        marks.append(mark.get("ttl", "5m"))
        check.need(block.get("type") not in _THINKING, "cache_control", "stands on thinking")
        check.need(mark.get("type") == "ephemeral", "cache_control.type", "must be ephemeral")
    check.need(len(marks) <= 4, "cache_control", f"{len(marks)} marks; at most 4")
    check.need(marks == sorted(marks), "cache_control", "an hour's mark behind a 5 minutes' one")


def _rendered(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from items(request.get("tools"))
    yield from items(request.get("system"))
    for message in items(request.get("messages")):
        for block in items(message.get("content")):
            yield from items(block.get("content"))
            yield block


def _tools(check: Findings, request: Mapping[str, Any]) -> None:
    check.need(request.get("tools", True), "tools", "must not be empty")
    allowed = (
        "description type strict cache_control defer_loading eager_input_streaming "
        "input_examples allowed_callers"
    )
    for i, tool in enumerate(items(request.get("tools"))):
        if "input_schema" in tool or "type" not in tool:
            check.fields(tool, "name input_schema", allowed, f"tools.{i}")
            check.tool_name(tool.get("name"), f"tools.{i}.name")
            schema: Mapping[str, Any] = tool.get("input_schema") or {}
            check.need(
                schema.get("type") == "object", f"tools.{i}.input_schema", "must be an object's"
            )
