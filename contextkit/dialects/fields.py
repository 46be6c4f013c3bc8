"""Checked reading of wire fields, shared by the dialects.

Every reader takes the place it reads (`content.0.text`) and raises `InvalidMessage` that starts
with it. What a reader returns belongs to contextkit: nested values are copied, never shared with
the caller.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Mapping
from typing import Any, NoReturn, cast

from contextkit.errors import InvalidMessage
from contextkit.messages import NO_EXTRA, Extra, FilePart, ImagePart, OpaquePart, Role

ABSENT = "_absent"
"""Key in a part's `extra`: the wire form had no such field, although it usually has."""
FIELD = "_field"
"""Key in a part's `extra`: the wire form had this part in that field, not in its content."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_IMAGE_HEADS = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_ONE_WORD = re.compile(r"[a-zA-Z0-9_-]+")


def fail(where: str, why: str) -> NoReturn:
    """Raise `InvalidMessage` for the field at `where`."""
    raise InvalidMessage(f"{where}: {why}")


def text_of(value: Any, where: str) -> str:
    """The value, where it is text that UTF-8 can carry."""
    if not isinstance(value, str):
        fail(where, f"must be text, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            fail(
                where,
                f"character {error.start} is a lone surrogate (U+{ord(value[error.start]):04X}), "
                'which no provider takes; text.encode("utf-8", "replace").decode() would work',
            )
    return value


def id_of(value: Any, where: str) -> str:
    """The value, where it is text and not empty."""
    if not text_of(value, where):
        fail(where, "must not be empty")
    return cast("str", value)


def mapping_of(value: Any, where: str) -> Mapping[str, Any]:
    """The value, where it is a mapping."""
    if not isinstance(value, Mapping):
        fail(where, f"must be an object, not {type(value).__name__}")
    return cast("Mapping[str, Any]", value)


def list_of(value: Any, where: str) -> list[Any]:
    """The value as a list, where it is a list or tuple."""
    if not isinstance(value, list | tuple):
        fail(where, f"must be a list, not {type(value).__name__}")
    return list(cast("list[Any]", value))


def role_of(value: Mapping[str, Any], allowed: tuple[Role, ...]) -> Role:
    """The `role` of a message, where the dialect has it."""
    role = value.get("role")
    if role == "function":
        fail(
            "role",
            "'function' is the form before tools; use role 'tool' with the call's tool_call_id",
        )
    if not isinstance(role, str) or role not in allowed:
        names = ", ".join(allowed)
        fail(
            "role",
            f"{'is missing' if role is None else f'{role!r} is unknown'}; one of {names} works",
        )
    return role


def rest_of(value: Mapping[str, Any], known: Container[str], where: str = "") -> Extra:
    """The fields beside the known ones, copied; they must be JSON values."""
    rest = {key: item for key, item in value.items() if key not in known}
    if not rest:
        return NO_EXTRA
    for key, item in rest.items():
        place = f"{where}.{key}" if where else str(key)
        if isinstance(item, str):
            text_of(item, place)
        elif item is not None and not isinstance(item, bool):
            rest[key] = json_copy(item, place)
    return rest


def json_copy(value: Any, where: str) -> Any:
    """A deep copy through JSON; raises where the value is not JSON."""
    return json.loads(json_text(value, where))


def json_text(value: Any, where: str) -> str:
    """The value as JSON text; raises where it is not JSON or holds a lone surrogate."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        fail(where, f"must be a JSON value ({error})")
    return text_of(text, where)


def marked(extra: Extra, **marks: Any) -> Extra:
    """`extra` with the marks that are not None."""
    added = {key: mark for key, mark in marks.items() if mark is not None}
    return {**extra, **added} if added else extra


def known_fields(extra: Extra, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the extra fields a provider knows and that say something."""
    if not extra:
        return {}
    return {name: extra[name] for name in names if extra.get(name) not in (None, [], "")}


def visible(extra: Extra) -> dict[str, Any]:
    """The extra fields without contextkit's own marks."""
    return {key: item for key, item in extra.items() if not key.startswith("_")}


def image_of(url: str, detail: str | None, extra: Extra) -> ImagePart:
    """An image from a URL; a data URL is taken apart."""
    found = _DATA_URL.fullmatch(url)
    if found:
        return ImagePart(None, found[2], found[1], detail, extra)
    return ImagePart(url, detail=detail, extra=extra)


def image_url(part: ImagePart) -> str | None:
    """The URL of an image, a data URL where the bytes are at hand; None where only an id is."""
    if part.data is None:
        return part.url
    return f"data:{image_type(part)};base64,{part.data}"


def image_type(part: ImagePart) -> str:
    """The media type of an image, read from its first bytes where it is not said."""
    heads = (kind for head, kind in _IMAGE_HEADS.items() if (part.data or "").startswith(head))
    return part.media_type or next(heads, "image/png")


def split_data(text: str) -> tuple[str, str | None]:
    """Base64 data and media type of a data URL, or the text itself and None."""
    found = _DATA_URL.fullmatch(text)
    return (found[2], found[1]) if found else (text, None)


def join_data(part: FilePart) -> str:
    """What `split_data` took apart."""
    return f"data:{part.media_type};base64,{part.data}" if part.media_type else str(part.data)


def safe_id(call_id: str, limit: int) -> str:
    """The call id where a provider takes it, else a hash of it: same id, same hash."""
    if len(call_id) <= limit and _ONE_WORD.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:24]


def safe_name(name: str) -> str:
    """The tool name, or the nearest that providers take: models make names up."""
    return _NOT_IN_NAMES.sub("_", name)[:64] or "unknown"


def stand_in(part: ImagePart | FilePart | OpaquePart) -> str:
    """Words for what a provider cannot be shown."""
    if isinstance(part, OpaquePart):
        return f"[{part.value.get('type', 'block')}: not shown]"
    if isinstance(part, ImagePart):
        return f"[image: {part.url or part.media_type or 'stored elsewhere'}]"
    return f"[file: {part.filename or part.url or part.file_id or part.media_type or 'unnamed'}]"
