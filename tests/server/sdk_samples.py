"""Values of every form that an SDK's own types allow, made from those types.

What a newer SDK adds is among them by itself, so a test over these fails when it can't be carried.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Union

import typing_extensions

DEEP = 4
"""Levels of fields of which every alternative is made; below them the first one stands for all."""
TEXTS = {
    "url": "https://images.example/gate.png",
    "image_url": "https://images.example/gate.png",
    "file_id": "file-1",
    "data": "aGVsbG8=",
    "file_data": "data:application/pdf;base64,aGVsbG8=",
    "arguments": "{}",
    "call_id": "call_1",
    "id": "id_1",
    "tool_use_id": "id_1",
    "tool_call_id": "call_1",
}
"""What stands for a text, by the field's name; a word elsewhere."""


LITERALS = (typing.Literal, typing_extensions.Literal)
PLAIN: dict[Any, Any] = {
    bool: True,
    int: 1,
    float: 1.5,
    types.NoneType: None,
    dict: {"key": "word"},
    object: {"key": "word"},
    Any: {"key": "word"},
}
"""Values of types without alternatives; those that JSON has no form for (bytes, files) have none."""


def is_form(kind: Any) -> bool:
    """Whether this is an object with named fields."""
    return typing_extensions.is_typeddict(kind)


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The members of a union, unions in it included."""
    kind = bare(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        return tuple(each for member in typing.get_args(kind) for each in alternatives(member))
    return (kind,)


def bare(kind: Any) -> Any:
    """A type without what is said about it (`Required`, `Annotated`, a name for it)."""
    while True:
        if isinstance(kind, typing_extensions.TypeAliasType):
            kind = kind.__value__
        elif typing.get_origin(kind) in (
            typing_extensions.Required,
            typing_extensions.NotRequired,
            typing.Annotated,
        ):
            kind = typing.get_args(kind)[0]
        else:
            return kind


@cache
def fields(form: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a form, each with its type and whether it has to be there."""
    hints = typing_extensions.get_type_hints(form, include_extras=True)
    return {name: (hint, _is_needed(form, hint)) for name, hint in hints.items()}


def _is_needed(form: Any, hint: Any) -> bool:
    origin: Any = typing.get_origin(hint)
    return origin is typing_extensions.Required or bool(form.__total__)


def samples(kind: Any, name: str = "", depth: int = 0) -> Iterator[Any]:
    """Values of a type: each alternative of each field at least once."""
    for each in alternatives(kind):
        yield from _of(each, name, depth)


def first(kind: Any, name: str, depth: int) -> Any:
    """A value of a type; texts before bytes and files, which JSON has no form for."""
    return next(samples(kind, name, max(depth, DEEP)))


def _of(kind: Any, name: str, depth: int) -> Iterator[Any]:
    origin: Any = typing.get_origin(kind)
    if is_form(kind):
        yield from _objects(kind, depth)
    elif origin in LITERALS:
        values = typing.get_args(kind)
        yield from values if depth < DEEP else values[:1]
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        if issubclass(origin, Mapping):
            yield {"key": "word"}
            return
        for value in samples(typing.get_args(kind)[0], name, depth):
            yield [value]
    elif kind is str:
        yield TEXTS.get(name, "word")
    elif kind in PLAIN:
        yield PLAIN[kind]


def _objects(form: Any, depth: int) -> Iterator[dict[str, Any]]:
    known = fields(form)
    least = {n: first(k, n, depth + 1) for n, (k, needed) in known.items() if needed}
    yield least
    if depth >= DEEP:
        return
    whole = {n: first(k, n, depth + 1) for n, (k, _) in known.items()}
    if whole != least:
        yield whole
    for n, (kind, _) in known.items():
        for value in samples(kind, n, depth + 1):
            if value != whole[n]:
                yield {**whole, n: value}
