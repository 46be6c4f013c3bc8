"""What the Responses API refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.wire_rules.checks import Findings, items

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
_INPUT_BLOCKS = {
    "input_text": "text",
    "input_image": "image_url file_id detail",
    "input_audio": "input_audio",
    "input_file": "file_id file_url file_data filename detail",
}


def problems(request: Mapping[str, Any]) -> list[str]:
    """What the provider would refuse in `input` and `tools`."""
    check = Findings()
    check.fields(request, "input", "tools", "request")
    listed = items(request.get("input"))
    check.need(listed, "input", "must not be empty")
    check.is_json(request)
    calls: dict[str, str] = {}
    answered: set[str] = set()
    reasoned = False
    for index, item in enumerate(listed):
        where = f"input.{index}"
        kind = str(item.get("type", "message"))
        ours = item.get("role") == "assistant" or kind == "reasoning" or kind in _CALLS
        if kind in _CALLS:
            _call(check, item, kind, where, calls)
        elif kind in _OUTPUTS:
            _output(check, item, kind, where, calls, answered)
        elif kind == "reasoning":
            check.fields(item, "type id summary", "content encrypted_content status", where)
            behind: Mapping[str, Any] = listed[index + 1] if index + 1 < len(listed) else {}
            follows = behind.get("role") == "assistant" or "output" not in behind
            follows = follows and behind.get("role") not in ("user", "system", "developer")
            check.need(behind and follows, where, "reasoning without the item that follows it")
        elif kind == "message":
            _message(check, item, where)
        check.need(
            reasoned or not ours or kind == "reasoning" or "id" not in item, where, "id alone"
        )
        if item.get("role") in ("user", "system", "developer"):
            reasoned = False
        reasoned = reasoned or kind == "reasoning"
    for call in calls.keys() - answered:
        check.need(False, "input", f"call {call!r} has no output")
    _tools(check, request)
    return check.found


def _call(
    check: Findings, item: Mapping[str, Any], kind: str, where: str, calls: dict[str, str]
) -> None:
    check.fields(
        item, f"type call_id name {_CALLS[kind]}", "id status caller namespace async", where
    )
    check.call_id(item.get("call_id"), f"{where}.call_id", 64)
    check.tool_name(item.get("name"), f"{where}.name")
    check.text(item.get(_CALLS[kind]), f"{where}.{_CALLS[kind]}", empty=True)
    check.need(item.get("call_id") not in calls, f"{where}.call_id", "is used twice")
    calls[str(item.get("call_id"))] = kind


def _output(
    check: Findings,
    item: Mapping[str, Any],
    kind: str,
    where: str,
    calls: dict[str, str],
    answered: set[str],
) -> None:
    check.fields(item, "type call_id output", "id status caller name namespace", where)
    call_id = str(item.get("call_id"))
    check.need(
        calls.get(call_id) == _OUTPUTS[kind], where, f"answers {call_id!r}, not a call before"
    )
    check.need(call_id not in answered, where, f"answers {call_id!r} again")
    answered.add(call_id)
    if not isinstance(item.get("output"), str):
        _blocks(check, item.get("output"), f"{where}.output")


def _message(check: Findings, item: Mapping[str, Any], where: str) -> None:
    role = item.get("role")
    check.need(role in ("user", "assistant", "system", "developer"), f"{where}.role", "is unknown")
    check.fields(item, "role content", "type id status phase", where)
    content = item.get("content")
    if isinstance(content, str):
        check.text(content, f"{where}.content")
    elif role != "assistant":
        _blocks(check, content, f"{where}.content")
    else:
        for i, block in enumerate(items(content)):
            known = block.get("type") in ("output_text", "refusal")
            check.need(known, f"{where}.content.{i}", "is not an assistant's block")
            field = "refusal" if block.get("type") == "refusal" else "text"
            check.text(block.get(field), f"{where}.content.{i}.{field}")


def _blocks(check: Findings, blocks: Any, where: str) -> None:
    check.need(items(blocks), where, "must be text or blocks")
    for i, block in enumerate(items(blocks)):
        kind = str(block.get("type"))
        if check.need(kind in _INPUT_BLOCKS, f"{where}.{i}.type", f"{kind!r} is unknown here"):
            allowed = f"{_INPUT_BLOCKS[kind]} prompt_cache_breakpoint"
            check.fields(block, "type", allowed, f"{where}.{i}")
            check.need(len(block) > 1, f"{where}.{i}", "holds nothing")
        if kind == "input_text":
            check.text(block.get("text"), f"{where}.{i}.text")


def _tools(check: Findings, request: Mapping[str, Any]) -> None:
    check.need(request.get("tools", True), "tools", "must not be empty")
    for i, tool in enumerate(items(request.get("tools"))):
        if tool.get("type") == "function":
            allowed = "description allowed_callers defer_loading output_schema async"
            check.fields(tool, "type name parameters strict", allowed, f"tools.{i}")
            check.tool_name(tool.get("name"), f"tools.{i}.name")
