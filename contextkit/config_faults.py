"""What is wrong with a configuration, said to whoever wrote it: the path, the value, what would do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_NESTED = ("value_error", "plugin")
"""Faults that contextkit raised itself: their text may begin with the rest of the path."""
_SECRET = re.compile(r"(^|_)(key|secret|password|url|headers)$", re.I)
_LONGEST = 60
_WHOLE = "is not a whole number; write digits alone, such as 8192"
_NUMBER = "is not a number; write one, such as 0.5"
_SWITCH = "is neither true nor false; write one of the two"
_MAPPING = "is not a mapping; write its fields, such as {{name: value}}"
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_parsing", "bool_type"), _SWITCH),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _MAPPING),
    "invalid_key": "is not text; put the key in quotes",
    "string_type": "is not text; put it in quotes",
    "path_type": "is not a path; write the name of a file or a folder",
    "greater_than_equal": "is too small; {ge} or more would do",
    "greater_than": "is too small; more than {gt} would do",
    "less_than_equal": "is too large; {le} or less would do",
    "less_than": "is too large; less than {lt} would do",
    "literal_error": "is not possible here; {expected} would do",
    "enum": "is not possible here; {expected} would do",
    "string_too_short": "is too short; at least {min_length} characters would do",
    "string_too_long": "is too long; at most {max_length} characters would do",
}


def describe(error: ValidationError, models: Mapping[str, type[BaseModel]], name: str = "") -> str:
    """One sentence a fault: the field's path, the value that was written, what would work.

    `models` are the sections that fields may be missing from, by name; the top level is "".
    """
    lines: list[str] = []
    for fault in error.errors():
        path = ".".join(str(step) for step in fault["loc"])
        rest, message = _said(fault, models)
        path = ".".join(step for step in (path, rest) if step)
        lines.append(f"{path}: {message}" if path else message)
    return (f"{name}: " if name else "") + "; ".join(lines)


def no_field(model: type[BaseModel], name: str) -> str:
    """What to say of a field that a model has not."""
    names = list(model.model_fields)
    return f"there is no such field; there are {', '.join(names) or 'none'}{nearest(name, names)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for what was probably meant, with a blank before it; empty where nothing is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f". Did you mean {close[0]!r}?" if close else ""


def _said(fault: ErrorDetails, models: Mapping[str, type[BaseModel]]) -> tuple[str, str]:
    """The rest of the path, where the text of a fault begins with one, and the text."""
    kind, place = fault["type"], fault["loc"]
    if kind in _NESTED:
        message = fault["msg"].removeprefix("Value error, ")
        head, colon, tail = message.partition(": ")
        if colon and head.replace("_", "").replace(".", "").isidentifier():
            return head, tail
        return "", message
    if kind == "extra_forbidden":
        model = models.get(".".join(map(str, place[:-1])))
        return "", no_field(model, str(place[-1])) if model else "there is no such field"
    if kind in ("tuple_type", "list_type"):
        return "", f"must be a list; {_value(fault)} is none"
    if kind == "missing":
        return "", "is required"
    if kind in _WORDS:
        limits = {name: _plain(limit) for name, limit in fault.get("ctx", {}).items()}
        return "", f"{_value(fault)} {_WORDS[kind].format_map(limits)}"
    return "", f"{fault['msg']}; {_value(fault)} was written"


def _plain(limit: Any) -> Any:
    """A limit as one writes it: 1 and not 1.0."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _value(fault: ErrorDetails) -> str:
    """The value as it was written, cut; never what may be a secret."""
    if any(_SECRET.search(str(step)) for step in fault["loc"]):
        return "what was written"
    show: Callable[[object], str] = repr
    written = "null" if fault["input"] is None else show(fault["input"])
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"
