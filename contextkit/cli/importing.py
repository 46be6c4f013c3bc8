"""Reads a recorded conversation from JSON or JSONL, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from contextkit.cli.opening import UsageError
from contextkit.dialects import parse_messages
from contextkit.errors import InvalidMessage
from contextkit.messages import Message

GZIP_MAGIC = b"\x1f\x8b"
_SHAPES = "a list of messages, an object with messages, or JSONL of either"


@dataclass(frozen=True)
class Conversation:
    """What a file holds: the messages, and the tools where they came with it."""

    name: str
    messages: tuple[Message, ...]
    tools: tuple[Any, ...] = ()


def is_stdin(path: Path) -> bool:
    """Whether `-` was given in a file's place."""
    return str(path) == "-"


def name_of(path: Path) -> str:
    """What a thread from this file is called."""
    return "stdin" if is_stdin(path) else path.name.split(".")[0] or "conversation"


def read_bytes(path: Path) -> bytes:
    """What a file holds, or stdin. Raises `UsageError`."""
    try:
        return sys.stdin.buffer.read() if is_stdin(path) else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def read_conversation(path: Path, index: int = 0) -> Conversation:
    """The conversation in a file, the `index`-th of a JSONL file. Raises `UsageError`."""
    text = read_text(path)
    chosen = _choose(path, _values(path, text), index)
    fields: Mapping[str, Any] = {"messages": chosen} if isinstance(chosen, list) else chosen
    try:
        messages = parse_messages(fields["messages"])
    except InvalidMessage as error:
        raise UsageError(f"{path}: {error}") from None
    if not messages:
        raise UsageError(f"{path}: holds no messages")
    return Conversation(name_of(path), tuple(messages), tuple(fields.get("tools") or ()))


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it is gzipped. Raises `UsageError`."""
    raw = read_bytes(path)
    try:
        return (gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw).decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UsageError(f"{path}: is cut or is no gzip file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text") from None


def _values(path: Path, text: str) -> list[Any]:
    """The JSON values of a file: one, or one a line."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError as whole:
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            raise UsageError(
                f"{path}: line {whole.lineno}, column {whole.colno}: {whole.msg}; needs {_SHAPES}"
            ) from None
    values: list[Any] = []
    for number, line in lines:
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise UsageError(
                f"{path}: line {number}, column {error.colno}: {error.msg}; needs {_SHAPES}"
            ) from None
    return values


def _choose(path: Path, values: list[Any], index: int) -> list[Any] | Mapping[str, Any]:
    """The conversation that is asked for, in whichever of the shapes it was written."""
    whole = [value for value in values if _is_conversation(value)]
    if len(whole) == len(values) and whole:
        if index >= len(whole):
            raise UsageError(f"{path}: --index {index}: it has conversations 0..{len(whole) - 1}")
        return cast("list[Any] | Mapping[str, Any]", whole[index])
    if all(isinstance(value, Mapping) and ("role" in value or "type" in value) for value in values):
        return values
    raise UsageError(f"{path}: is no conversation; needs {_SHAPES}")


def _is_conversation(value: Any) -> bool:
    if isinstance(value, list):
        return True
    return isinstance(value, Mapping) and isinstance(
        cast("Mapping[str, Any]", value).get("messages"), list
    )
