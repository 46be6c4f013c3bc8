"""Shorter forms of tool results: a stub, a preview, lines said once. Pairing and errors stay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from operator import eq

from contextkit.messages import Message, TextPart, ToolResultPart

SMALL = 80
"""Characters up to which a result is not worth a pointer."""
MIN_RUN = 3
"""Equal lines in a row that are worth a remark."""


def with_results(message: Message, rewrite: Callable[[ToolResultPart], str]) -> Message:
    """The message with the text of each tool result rewritten; images in results are left out."""
    parts = tuple(
        _rewritten(part, rewrite(part)) if isinstance(part, ToolResultPart) else part
        for part in message.parts
    )
    return message if parts == message.parts else replace(message, parts=parts)


def _rewritten(part: ToolResultPart, text: str) -> ToolResultPart:
    return part if text == part.text else replace(part, content=text)


class Forms:
    """Short forms by what they were made of, the newest few: an edit that waits is proposed every turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[bytes, str, int, int | None], Message] = {}
        self._lock = threading.Lock()

    def __call__(
        self, message: Message, handle: str, tokens: int, room_tokens: int | None
    ) -> Message:
        """`preview` of about `room_tokens`, or `stub` where that is None."""
        key = (message.digest, handle, tokens, room_tokens)
        known = self._known.get(key)
        if known is None:
            if room_tokens is None:
                known = stub(message, handle, tokens)
            else:
                known = preview(message, handle, tokens, room_tokens)
            with self._lock:
                self._known[key] = known
                while len(self._known) > self._most:
                    del self._known[next(iter(self._known))]
        return known


def stub(message: Message, handle: str, tokens: int) -> Message:
    """Nothing but the size and the handle."""
    return with_results(message, lambda result: f"[Result cleared, {tokens:,} tokens: {handle}]")


def preview(message: Message, handle: str, tokens: int, room_tokens: int) -> Message:
    """The head and the tail of each result, about `room_tokens` in all, and the handle."""
    share = room_tokens / max(1, tokens)

    def rewrite(result: ToolResultPart) -> str:
        text = result.text
        room = int(len(text) * share)
        if room >= len(text):
            return text
        head, tail = _at_line(text[: room * 2 // 3]), text[len(text) - room // 3 :]
        return (
            f"{head}\n[… about {tokens:,} tokens in all, the rest behind handle {handle} …]\n{tail}"
        )

    return with_results(message, rewrite)


short_form = Forms(most=4096)


def _at_line(text: str) -> str:
    """The text up to its last whole line, where that keeps most of it."""
    end = text.rfind("\n")
    return text[:end] if end > len(text) // 2 else text


def collapsed(result: ToolResultPart) -> str:
    """The text of a result with its runs of equal lines said once; as it is beside images."""
    if isinstance(result.content, str) or all(isinstance(p, TextPart) for p in result.content):
        return collapse(result.text)
    return result.text


def collapse(text: str) -> str:
    """Runs of equal lines said once, with how often they stood there."""
    lines = text.split("\n")
    if not any(map(eq, lines, lines[1:])):
        return text
    out: list[str] = []
    index = 0
    while index < len(lines):
        end = index + 1
        while end < len(lines) and lines[end] == lines[index]:
            end += 1
        if end - index >= MIN_RUN and lines[index].strip():
            out += [lines[index], f"[the line above, {end - index} times]"]
        else:
            out += lines[index:end]
        index = end
    return "\n".join(out) if len(out) < len(lines) else text
