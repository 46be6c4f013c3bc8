"""Messages and tools of real shape, for every dialect; the tables the tests run over."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from contextkit.messages import Message, ToolCallPart, ToolResultPart

AGENTS = Path(__file__).parents[1] / "fixtures" / "agents"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def recorded() -> list[list[dict[str, Any]]]:
    """The recorded conversations that ship with the tests."""
    found: list[list[dict[str, Any]]] = []
    for path in sorted(AGENTS.glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line)["messages"] for line in lines]
    return found


def renamed(messages: list[Message]) -> list[Message]:
    """The conversation with every call id of its own, as the manager sends it."""
    names: dict[str, str] = {}

    def part(value: Any, index: int) -> Any:
        if isinstance(value, ToolCallPart):
            names[value.id] = f"call_{index}_{len(names)}"
            return replace(value, id=names[value.id])
        if isinstance(value, ToolResultPart):
            return replace(value, call_id=names[value.call_id])
        return value

    return [replace(m, parts=tuple(part(p, i) for p in m.parts)) for i, m in enumerate(messages)]


def _call(call_id: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": "look_up", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **more}


OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "name": "ops"},
    {"role": "user", "content": ""},
    {"role": "user", "content": []},
    {"role": "user", "content": "hi", "timestamp": "2024-05-15", "usage": {"tokens": 3}},
    {"role": "user", "content": "hi", "name": None, "cost": 0.5, "turn": 3, "done": False},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}, "n": 1},
            {"type": "image_url", "image_url": {"url": "data:,odd", "detail": None, "alt": "a"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a"},
            },
            {"type": "file", "file": {"file_data": "AA==", "filename": None}},
        ],
    },
    {"role": "assistant", "content": None, "tool_calls": [_call("a"), _call("b", '{"q": 1}')]},
    {"role": "assistant", "tool_calls": [_call("a", "not json", index=0)]},
    {"role": "assistant", "content": "", "tool_calls": [_call("a")], "function_call": None},
    {
        "role": "assistant",
        "content": "Hello",
        "tool_calls": None,
        "annotations": [],
        "refusal": None,
    },
    {"role": "assistant", "content": "Hello", "tool_calls": []},
    {"role": "assistant", "content": None, "refusal": "I cannot."},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": ""},
    {
        "role": "assistant",
        "content": "x",
        "reasoning_content": "hm",
        "reasoning_details": [{"a": 1}],
    },
    {"role": "assistant", "content": None, "audio": {"id": "audio_1", "transcript": "hi"}},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "run", "input": "ls -l"}}],
    },
    {
        "role": "assistant",
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "", "x": 1}}],
    },
    {"role": "tool", "tool_call_id": "a", "content": "found", "name": "look_up"},
    {"role": "tool", "tool_call_id": "a", "content": ""},
    {"role": "tool", "tool_call_id": "a", "content": None, "timestamp": "t"},
    {"role": "tool", "tool_call_id": "a"},
    {
        "role": "tool",
        "tool_call_id": "a",
        "content": [{"type": "text", "text": "found"}],
        "name": None,
    },
    {"role": "tool", "tool_call_id": "a", "content": []},
]

ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "hi"},
    {"role": "user", "content": ""},
    {"role": "user", "content": []},
    {
        "role": "user",
        "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
    },
    {
        "role": "assistant",
        "id": "msg_1",
        "type": "message",
        "model": "claude",
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "content": [
            {"type": "thinking", "thinking": "hm…", "signature": "EqQBCkYIB=="},
            {"type": "redacted_thinking", "data": "EmwKAhgB=="},
            {"type": "text", "text": "I look.", "citations": None},
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "f",
                "input": {"é": [1.0, 1e3, None, {}]},
            },
            {
                "type": "tool_use",
                "id": "toolu_2",
                "name": "g",
                "input": {},
                "caller": {"type": "direct"},
            },
        ],
    },
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "unsigned"}]},
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": "sunny",
                "is_error": False,
            },
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
            {"type": "tool_result", "tool_use_id": "toolu_3", "content": ""},
            {"type": "tool_result", "tool_use_id": "toolu_4", "content": None},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_5",
                "content": [
                    {"type": "text", "text": "see"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                    },
                    {
                        "type": "search_result",
                        "source": "https://x.org",
                        "title": "t",
                        "content": [],
                    },
                ],
            },
            {"type": "text", "text": "and now?"},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_2"}, "title": "T"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "citations": {"enabled": True},
            },
            {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "All the words."},
                "title": "Words",
                "context": "c",
            },
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
            },
            {"type": "container_upload", "file_id": "file_3"},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {
                "type": "server_tool_use",
                "id": "srvtoolu_1",
                "name": "web_search",
                "input": {"query": "q"},
            },
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "u",
                        "title": "t",
                        "encrypted_content": "E",
                    }
                ],
            },
            {
                "type": "text",
                "text": "So.",
                "citations": [{"type": "web_search_result_location", "url": "u"}],
            },
        ],
    },
]

RESPONSES: list[dict[str, Any]] = [
    {"role": "user", "content": "hi"},
    {"type": "message", "role": "developer", "content": "Be brief."},
    {"role": "user", "content": [], "type": "message"},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
            {"type": "input_image", "file_id": "file-1", "detail": "high", "image_url": None},
            {"type": "input_file", "file_url": "https://x.org/a.pdf"},
            {
                "type": "input_file",
                "file_data": "data:application/pdf;base64,AA==",
                "filename": "a.pdf",
            },
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
        ],
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "content": [
            {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "but no"},
        ],
    },
    {"role": "assistant", "content": [{"type": "input_text", "text": "odd"}]},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": "gAAAAA==",
        "status": None,
    },
    {
        "type": "reasoning",
        "id": "rs_2",
        "summary": [{"type": "summary_text", "text": "thought"}],
        "content": [{"type": "reasoning_text", "text": "long thought"}],
        "encrypted_content": None,
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "f",
        "arguments": '{ "a":1}',
    },
    {
        "type": "function_call",
        "call_id": "call_2",
        "name": "f",
        "arguments": "",
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "fine", "id": None},
    {
        "type": "function_call_output",
        "call_id": "call_1",
        "name": "f",
        "output": [
            {"type": "input_text", "text": "fine"},
            {"type": "input_image", "image_url": "https://x.org/a.png"},
            {"type": "input_file", "file_id": "file-2"},
        ],
    },
    {"type": "custom_tool_call", "call_id": "call_3", "name": "sh", "input": "ls", "id": "ctc_1"},
    {"type": "custom_tool_call_output", "call_id": "call_3", "output": "a b"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "computer_call", "id": "cu_1", "call_id": "call_4", "action": {"type": "click"}},
    {
        "type": "computer_call_output",
        "call_id": "call_4",
        "output": {"type": "computer_screenshot"},
    },
    {"type": "local_shell_call_output", "id": "call_5", "output": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    {"type": "compaction", "encrypted_content": "E", "id": "cmp_1"},
    {"type": "item_reference", "id": "msg_9"},
]

TOOLS: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "g", "description": "", "parameters": None}},
        {
            "type": "function",
            "function": {
                "name": "h",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
            "cache_control": {"type": "ephemeral"},
        },
        {"function": {"name": "i", "description": "d"}},
        {"type": "custom", "custom": {"name": "j", "format": {"type": "text"}}},
    ],
    "anthropic": [
        {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
        {"name": "g", "description": "", "input_schema": {}, "type": "custom", "strict": True},
        {
            "name": "h",
            "description": "d",
            "input_schema": {},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "bash_20250124", "name": "bash"},
    ],
    "responses": [
        {"type": "function", "name": "f", "parameters": None, "strict": False},
        {"type": "function", "name": "g", "description": "d", "parameters": {}, "strict": None},
        {"name": "h", "parameters": {"type": "object"}},
        {"type": "web_search", "filters": {"allowed_domains": ["x.org"]}},
        {"type": "custom", "name": "k", "format": {"type": "text"}},
        {"type": "mcp", "server_label": "s", "server_url": "https://x.org"},
    ],
}
