"""What Chat Completions refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.wire_rules.checks import Findings, items

_ALLOWED = {
    "system": "name",
    "developer": "name",
    "user": "name",
    "tool": "tool_call_id",
    "assistant": "name tool_calls refusal audio reasoning_content reasoning_details",
}
_BLOCKS = {
    "system": "text",
    "developer": "text",
    "tool": "text",
    "assistant": "text refusal",
    "user": "text image_url input_audio file",
}


def problems(request: Mapping[str, Any]) -> list[str]:
    """What the provider would refuse in `messages` and `tools`."""
    check = Findings()
    check.fields(request, "messages", "tools", "request")
    messages = items(request.get("messages"))
    check.need(messages, "messages", "must not be empty")
    check.is_json(request)
    open_calls: dict[str, str] = {}
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        role = message.get("role")
        if not check.need(role in _ALLOWED, f"{where}.role", f"{role!r} is unknown"):
            continue
        if role == "tool":
            call_id = str(message.get("tool_call_id"))
            known = open_calls.pop(call_id, None) is not None
            check.need(known, where, f"answers {call_id!r}, which is not an open call before it")
        else:
            for call_id, place in open_calls.items():
                check.need(False, place, f"call {call_id!r} is not answered before {where}")
            open_calls = {}
        _message(check, message, str(role), where, open_calls)
    for call_id, place in open_calls.items():
        check.need(False, place, f"call {call_id!r} is not answered")
    _tools(check, request)
    return check.found


def _message(
    check: Findings, message: Mapping[str, Any], role: str, where: str, calls: dict[str, str]
) -> None:
    needed, allowed = "role content", _ALLOWED[role]
    if message.get("tool_calls"):  # a reply that only calls tools may leave its content out
        needed, allowed = "role", f"content {allowed}"
    check.fields(message, needed, allowed, where)
    content = message.get("content")
    if role == "assistant":
        said = content or message.get("refusal") or message.get("audio")
        check.need(said or message.get("tool_calls"), where, "must have content or tool_calls")
        for i, call in enumerate(items(message.get("tool_calls"))):
            _call(check, call, f"{where}.tool_calls.{i}", calls)
        check.need(message.get("tool_calls", True), f"{where}.tool_calls", "must not be empty")
        if content is None:
            return
    if isinstance(content, str):
        check.text(content, f"{where}.content", empty=role == "tool")
        return
    check.need(items(content), f"{where}.content", "must be text or blocks")
    for i, block in enumerate(items(content)):
        _block(check, block, role, f"{where}.content.{i}")


def _call(check: Findings, call: Mapping[str, Any], where: str, calls: dict[str, str]) -> None:
    kind = str(call.get("type"))
    check.need(kind in ("function", "custom"), f"{where}.type", "must be function or custom")
    check.fields(call, f"id type {kind}", "extra_content", where)
    body: Mapping[str, Any] = call.get(kind) or {}
    written = "arguments" if kind == "function" else "input"
    check.fields(body, f"name {written}", "", f"{where}.{kind}")
    check.tool_name(body.get("name"), f"{where}.{kind}.name")
    check.text(body.get(written), f"{where}.{kind}.{written}", empty=True)
    check.call_id(call.get("id"), f"{where}.id", 40)
    check.need(call.get("id") not in calls, f"{where}.id", "is used twice in one batch")
    calls[str(call.get("id"))] = where


def _block(check: Findings, block: Mapping[str, Any], role: str, where: str) -> None:
    kind = str(block.get("type"))
    if not check.need(kind in _BLOCKS[role].split(), f"{where}.type", f"{kind!r} is not {role}'s"):
        return
    check.fields(block, f"type {kind}", "prompt_cache_breakpoint", where)
    if kind in ("text", "refusal"):
        check.text(block.get(kind), f"{where}.{kind}")
    elif kind == "image_url":
        check.fields(block["image_url"], "url", "detail", f"{where}.image_url")
        check.text(block["image_url"].get("url"), f"{where}.image_url.url")
    elif kind == "file":
        check.fields(block["file"], "", "file_id file_data filename", f"{where}.file")
        found = block["file"].keys() & {"file_id", "file_data"}
        check.need(len(found) == 1, f"{where}.file", "needs file_id or file_data")


def _tools(check: Findings, request: Mapping[str, Any]) -> None:
    check.need(request.get("tools", True), "tools", "must not be empty")
    names: set[str] = set()
    for i, tool in enumerate(items(request.get("tools"))):
        if tool.get("type") != "function":
            continue
        where = f"tools.{i}"
        check.fields(tool, "type function", "", where)
        body: Mapping[str, Any] = tool.get("function", {})
        check.fields(body, "name", "description parameters strict", f"{where}.function")
        check.tool_name(body.get("name"), f"{where}.function.name")
        check.need(body.get("name") not in names, f"{where}.function.name", "is used twice")
        names.add(str(body.get("name")))
