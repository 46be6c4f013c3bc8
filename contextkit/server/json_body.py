"""Request bodies read by their outer shape: fields, the array of messages, and where each stands.

JSON is RFC 8259, UTF-8, without NaN and without a name twice: two readers of one body must never
disagree on what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from contextkit.server.refusals import Refusal

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(slots=True)
class Body:
    """A JSON object, one of whose fields is an array of messages."""

    raw: bytes
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    """All fields by name; in the array's place the items that were read."""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    """The fields but the array, as they are written in the body."""
    array_at: int = -1
    """The byte behind the array's bracket; -1 where there is none."""
    n_head_fields: int = 0
    """Fields that stand before the array."""
    ends: list[int] = field(default_factory=list[int])
    """The byte behind each item that was read."""


def read(raw: bytes, array: str) -> Body:
    """The whole body. Raises `Refusal` 400."""
    body = Body(raw)
    cursor = _Cursor(_text(raw), 0)
    cursor.take("{")
    _read_fields(cursor, body, array)
    return body


def resume(raw: bytes, array: str, known: Body, at: int) -> Body:
    """The body whose bytes up to `at`, behind an item of the array, are those of a body read before."""
    head = list(known.texts)[: known.n_head_fields]
    body = Body(
        raw,
        {name: known.fields[name] for name in head},
        {name: known.texts[name] for name in head},
        known.array_at,
        known.n_head_fields,
    )
    cursor = _Cursor(_text(raw[at:]), at)
    items: list[Any] = []
    body.fields[array] = items
    if cursor.next_is(","):
        _read_items(cursor, body, items)
    else:
        cursor.take("]")
    if cursor.next_is(","):
        _read_fields(cursor, body, array)
    else:
        cursor.close()
    return body


def written(body: Body, request: Mapping[str, Any]) -> bytes:
    """The request as JSON; fields that are still the body's own are written as they were."""
    parts: list[str] = []
    for name, value in request.items():
        as_it_was = body.texts.get(name) if value is body.fields.get(name) else None
        text = as_it_was if as_it_was is not None else _dump(value)
        parts.append(f"{json.dumps(name)}:{text}")
    return f"{{{','.join(parts)}}}".encode()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start})") from None


def _read_fields(cursor: _Cursor, body: Body, array: str) -> None:
    """Fields up to the end of the body; the brace before them was taken."""
    if not body.fields and cursor.next_is("}"):
        cursor.end()
        return
    while True:
        name = cursor.name()
        if name in body.fields:
            raise Refusal(400, f"{name}: stands in the body twice")
        if name == array and cursor.next_is("["):
            items: list[Any] = []
            body.fields[name] = items
            body.array_at = cursor.place()
            body.n_head_fields = len(body.texts)
            if not cursor.next_is("]"):
                _read_items(cursor, body, items)
        else:
            start = cursor.at
            body.fields[name] = cursor.value()
            body.texts[name] = cursor.text[start : cursor.at]
        if not cursor.next_is(","):
            break
    cursor.close()


def _read_items(cursor: _Cursor, body: Body, items: list[Any]) -> None:
    while True:
        cursor.skip()
        items.append(cursor.value())
        body.ends.append(cursor.place())
        if not cursor.next_is(","):
            break
    cursor.take("]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODE = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


class _Cursor:
    """Walks over JSON text; `place` is the same spot in bytes of the body."""

    def __init__(self, text: str, base: int) -> None:
        self.text = text
        self.at = 0
        self._is_ascii = text.isascii()
        self._base = base
        self._counted = (0, base)

    def place(self) -> int:
        if self._is_ascii:
            return self._base + self.at
        at, n_bytes = self._counted
        n_bytes += len(self.text[at : self.at].encode())
        self._counted = (self.at, n_bytes)
        return n_bytes

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def next_is(self, char: str) -> bool:
        """Whether that is the next character; then it is taken, with the space around it."""
        self.skip()
        if not self.text.startswith(char, self.at):
            return False
        self.at += 1
        self.skip()
        return True

    def take(self, char: str) -> None:
        if not self.next_is(char):
            self._fail(f"{char!r} is missing")

    def name(self) -> str:
        self.skip()
        if not self.text.startswith('"', self.at):
            self._fail("a field's name is missing")
        name: str = self.value()
        self.take(":")
        return name

    def value(self) -> Any:
        try:
            value, self.at = _DECODE(self.text, self.at)
        except RecursionError:
            self._fail("is nested too deeply")
        except json.JSONDecodeError as error:
            self.at = error.pos
            self._fail(error.msg)
        except ValueError as error:
            self._fail(str(error))
        return value

    def close(self) -> None:
        self.take("}")
        self.end()

    def end(self) -> None:
        self.skip()
        if self.at != len(self.text):
            self._fail("there is something behind the object")

    def _fail(self, why: str) -> NoReturn:
        raise Refusal(400, f"the body is not a JSON object: {why} (byte {self.place()})")
