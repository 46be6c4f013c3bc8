"""The JSON values of a log file, plain or gzipped; of a file that was cut, what stands before the cut."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contextkit.errors import ReplayError

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""Tells zlib to expect a gzip header."""


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON value of a file and the line it starts on, counted from 1."""

    line: int
    value: Any


@dataclass(frozen=True, slots=True)
class Rows:
    """What could be read, and what could not."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def read_rows(path: Path) -> Rows:
    """One value, or one a line. Raises `ReplayError` where nothing can be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"{path}: cannot be read ({error.strerror})") from None
    notes: list[str] = []
    if raw.startswith(GZIP_MAGIC):
        raw = _unpacked(path, raw, notes)
    text = raw.decode("utf-8-sig", errors="replace")
    if "\N{REPLACEMENT CHARACTER}" in text and b"\xef\xbf\xbd" not in raw:
        notes.append(f"{path.name}: holds bytes that are not UTF-8; they were replaced")
    whole = _whole(text)
    rows = (Row(1, whole),) if whole is not None else tuple(_lines(path, text, notes))
    if not rows:
        what = "; ".join(notes) or "it holds no JSON"
        raise ReplayError(f"{path}: nothing can be read: {what}")
    return Rows(rows, tuple(notes))


def _unpacked(path: Path, raw: bytes, notes: list[str]) -> bytes:
    """The content of a gzip file, its members one after another, as far as it goes."""
    out: list[bytes] = []
    while raw:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            out.append(member.decompress(raw) + member.flush())
        except zlib.error:
            notes.append(f"{path.name}: is no whole gzip file; read up to the fault")
            break
        if not member.eof:
            notes.append(f"{path.name}: the gzip file is cut; read up to the cut")
            break
        raw = member.unused_data
    return b"".join(out)


def _whole(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lines(path: Path, text: str, notes: list[str]) -> Iterator[Row]:
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            is_last = number == lines[-1][0]
            what = "is cut" if is_last else f"is no JSON ({_what(error)})"
            notes.append(f"{path.name}: line {number} {what}; left out")
            continue
        yield Row(number, value)


def _what(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"column {error.colno}: {error.msg}"
    return "too deeply nested"
