"""Content blocks of Chat Completions, read and written back without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contextkit.dialects.fields import (
    fail,
    id_of,
    image_of,
    image_url,
    join_data,
    json_copy,
    mapping_of,
    marked,
    rest_of,
    split_data,
    text_of,
    visible,
)
from contextkit.errors import InvalidMessage
from contextkit.messages import (
    FilePart,
    ImagePart,
    OpaquePart,
    Part,
    TextPart,
)


def parse_block(value: Any, where: str) -> Part:
    block = mapping_of(value, where)
    kind = text_of(block.get("type", ""), f"{where}.type")
    if not kind:
        fail(f"{where}.type", "is missing; {'type': 'text', 'text': …} would work")
    reader = _READERS.get(kind)
    return reader(block, where) if reader else OpaquePart("openai", json_copy(dict(block), where))


def _read_text(block: Mapping[str, Any], where: str) -> Part:
    return TextPart(
        text_of(block.get("text"), f"{where}.text"), rest_of(block, ("type", "text"), where)
    )


def _read_refusal(block: Mapping[str, Any], where: str) -> Part:
    extra = marked(rest_of(block, ("type", "refusal"), where), type="refusal")
    return TextPart(text_of(block.get("refusal"), f"{where}.refusal"), extra)


def _read_image(block: Mapping[str, Any], where: str) -> Part:
    place = f"{where}.image_url"
    if isinstance(block.get("image_url"), str):
        fail(place, "must be an object; {'url': …} would work")
    image = mapping_of(block.get("image_url"), place)
    detail = image.get("detail")
    known = ("url",) if detail is None else ("url", "detail")
    extra = marked(
        rest_of(block, ("type", "image_url"), where), _inner=rest_of(image, known, place) or None
    )
    detail = None if detail is None else text_of(detail, f"{place}.detail")
    return image_of(id_of(image.get("url"), f"{place}.url"), detail, extra)


def _read_file(block: Mapping[str, Any], where: str) -> Part:
    place = f"{where}.file"
    file = mapping_of(block.get("file"), place)
    known = tuple(f for f in ("file_id", "file_data", "filename") if file.get(f) is not None)
    found = {field: text_of(file[field], f"{place}.{field}") for field in known}
    data, media_type = split_data(found["file_data"]) if "file_data" in found else (None, None)
    extra = marked(
        rest_of(block, ("type", "file"), where), _inner=rest_of(file, known, place) or None
    )
    return FilePart(found.get("file_id"), None, data, media_type, found.get("filename"), extra)


_READERS: dict[str, Callable[[Mapping[str, Any], str], Part]] = {
    "text": _read_text,
    "refusal": _read_refusal,
    "image_url": _read_image,
    "file": _read_file,
}


def dump_block(part: Part) -> dict[str, Any]:
    """A content block as it was written; raises where Chat Completions has none."""
    if isinstance(part, OpaquePart) and part.dialect == "openai":
        return dict(part.value)
    if isinstance(part, TextPart):
        kind = "refusal" if part.extra.get("type") == "refusal" else "text"
        return {"type": kind, kind: part.text} | visible(part.extra) | {"type": kind}
    if isinstance(part, ImagePart) and (url := image_url(part)) is not None:
        image = {"url": url} | ({"detail": part.detail} if part.detail is not None else {})
        return {"type": "image_url", "image_url": image | _inner(part)} | visible(part.extra)
    if isinstance(part, FilePart) and part.url is None:
        return {"type": "file", "file": file_body(part) | _inner(part)} | visible(part.extra)
    raise InvalidMessage(
        f"a {type(part).__name__} has no Chat Completions block; request() can send it"
    )


def file_body(part: FilePart) -> dict[str, Any]:
    """The `file` object of a file block."""
    data = None if part.data is None else join_data(part)
    body = {"file_id": part.file_id, "file_data": data, "filename": part.filename}
    return {key: item for key, item in body.items() if item is not None}


def _inner(part: ImagePart | FilePart) -> dict[str, Any]:
    return dict(part.extra.get("_inner", {}))
