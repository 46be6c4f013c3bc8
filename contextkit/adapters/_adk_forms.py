"""Contents of Google's GenAI types, as ADK sends them, read as messages and written back.

ADK strips the ids that it gave calls itself before it asks a model. Such calls are known by their
place: the first without an id is `adk-0`; a result without one answers the oldest open call of its name.
"""

from __future__ import annotations

import base64
import json
from typing import Any, cast

from contextkit.adapters._extras import needed
from contextkit.messages import (
    NO_EXTRA,
    Extra,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

types: Any = needed("google.genai.types", "google-adk")

DIALECT = "google_adk"
_MADE_UP = "adk-"
_SIGNATURE = "thought_signature"


class Reader:
    """Reads the contents of one conversation, in order: what went before names calls without ids."""

    def __init__(self) -> None:
        self._n_calls = 0
        self._open: dict[str, list[str]] = {}

    def message(self, content: Any) -> Message:
        """The next content of the conversation as a message."""
        parts = tuple(self._part(part) for part in content.parts or ())
        role: Role = "assistant" if content.role == "model" else "user"
        if parts and all(isinstance(part, ToolResultPart) for part in parts):
            role = "tool"
        return Message(role, parts)

    def _part(self, part: Any) -> Part:
        if part.thought and (part.text or part.thought_signature):
            sealed = _sealed(part)
            return ReasoningPart(part.text or "", sealed, redacted=bool(sealed) and not part.text)
        if part.text is not None:
            return TextPart(part.text, _beside(part))
        if part.function_call:
            return self._call(part)
        if part.function_response:
            return self._result(part.function_response)
        if part.inline_data and part.inline_data.data is not None:
            data, kind = (
                base64.b64encode(part.inline_data.data).decode(),
                part.inline_data.mime_type,
            )
            if str(kind).startswith("image/"):
                return ImagePart(data=data, media_type=kind)
            return FilePart(data=data, media_type=kind)
        if part.file_data:
            return FilePart(url=part.file_data.file_uri, media_type=part.file_data.mime_type)
        return OpaquePart(DIALECT, part.model_dump(mode="json", exclude_none=True))

    def _call(self, part: Any) -> ToolCallPart:
        call = part.function_call
        known = call.id if call.id and not call.id.startswith(_MADE_UP) else None
        if known is None:
            known = f"{_MADE_UP}{self._n_calls}"
            self._open.setdefault(call.name, []).append(known)
            self._n_calls += 1
        arguments = json.dumps(call.args or {}, ensure_ascii=False)
        return ToolCallPart(known, call.name, arguments, _beside(part))

    def _result(self, result: Any) -> ToolResultPart:
        known = result.id if result.id and not result.id.startswith(_MADE_UP) else None
        if known is None:
            waiting = self._open.get(result.name) or [f"{_MADE_UP}unknown"]
            known = waiting.pop(0)
        said: dict[str, Any] = result.response or {}
        text = said.get("result") if said.keys() == {"result"} else None
        if not isinstance(text, str):
            text = json.dumps(said, ensure_ascii=False, default=str)
        return ToolResultPart(known, text, is_error="error" in said, name=result.name)


def content_of(message: Message) -> Any:
    """A content for a message of any origin; contents know no system role."""
    role = "model" if message.role == "assistant" else "user"
    return types.Content(role=role, parts=[_theirs(part) for part in message.parts])


def text_in(instruction: Any) -> str:
    """The words of a system instruction, in any of the forms that it may have."""
    if instruction is None or isinstance(instruction, str):
        return instruction or ""
    if isinstance(instruction, list | tuple):
        listed = cast("list[Any]", instruction)
        return "\n".join(filter(None, (text_in(each) for each in listed)))
    if getattr(instruction, "parts", None) is not None:
        return text_in(list(instruction.parts))
    return str(getattr(instruction, "text", None) or "")


def _theirs(part: Part) -> Any:
    match part:
        case TextPart():
            return types.Part(text=part.text, **_signed(part.extra.get(_SIGNATURE)))
        case ReasoningPart():
            return types.Part(text=part.text or None, thought=True, **_signed(part.signature))
        case ToolCallPart():
            arguments = json.loads(part.arguments or "{}")
            call = types.FunctionCall(id=_own(part.id), name=part.name, args=arguments)
            return types.Part(function_call=call, **_signed(part.extra.get(_SIGNATURE)))
        case ToolResultPart():
            said = {"error" if part.is_error else "result": part.text}
            result = types.FunctionResponse(
                id=_own(part.call_id), name=part.name or "tool", response=said
            )
            return types.Part(function_response=result)
        case ImagePart() | FilePart() if part.data:
            data = base64.b64decode(part.data)
            return types.Part(inline_data=types.Blob(data=data, mime_type=part.media_type))
        case ImagePart() | FilePart():
            where = types.FileData(file_uri=part.url, mime_type=part.media_type)
            return types.Part(file_data=where)
        case OpaquePart():
            return types.Part.model_validate(dict(part.value))


def _own(call_id: str) -> str | None:
    return None if call_id.startswith(_MADE_UP) else call_id


def _sealed(part: Any) -> str | None:
    return base64.b64encode(part.thought_signature).decode() if part.thought_signature else None


def _beside(part: Any) -> Extra:
    """The signature that Gemini puts on calls and text."""
    sealed = _sealed(part)
    return {_SIGNATURE: sealed} if sealed else NO_EXTRA


def _signed(sealed: str | None) -> dict[str, bytes]:
    return {_SIGNATURE: base64.b64decode(sealed)} if sealed else {}
