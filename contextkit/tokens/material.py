"""What a provider tokenizes of a message: its texts, how many wire messages it makes, known extras.

Both counters price this material: one encodes the texts, the other estimates them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from contextkit.messages import (
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from contextkit.tokens.images import ImageCost

Dialect: TypeAlias = Literal["openai-chat", "anthropic"]
ImagePrice: TypeAlias = Callable[[ImagePart], ImageCost]

TOOL_CALL_TOKENS = 8
"""Around one call: its marker, the recipient's prefix `functions.`, the end. Nowhere documented."""
TOOL_CALL_SLACK = 8
TOOL_RESULT_SLACK = 4
PDF_PAGE_TOKENS, PDF_PAGE_UPPER = 2_250, 4_600
"""A page as text (1,500 to 3,000 tokens) and, at most, also as an image (Anthropic's PDF guide)."""
UNSEEN_FILE_TOKENS, UNSEEN_FILE_UPPER = 4_500, 20_000
"""A file named by id or URL: its size is not known here, so the upper end is a convention."""


@dataclass(slots=True)
class Material:
    """Texts to tokenize, wire messages, tokens known by other means, slack for the upper end."""

    texts: list[str] = field(default_factory=list[str])
    messages: int = 0
    known: int = 0
    slack: int = 0

    def add_known(self, tokens: int, upper: int) -> None:
        self.known += tokens
        self.slack += upper - tokens


def message_material(message: Message, dialect: Dialect, image_price: ImagePrice) -> Material:
    """What the provider reads of `message`; nothing where it is empty and so is not sent."""
    material = Material()
    if message.is_empty:
        return material
    if message.name:
        material.texts.append(message.name)
        material.known += 1
    results = len(message.tool_results)
    if dialect == "openai-chat":
        material.messages = results + (results < len(message.parts))
    else:
        material.messages = 1
    for part in message.parts:
        _add_part(material, part, dialect, image_price)
    return material


def _add_part(material: Material, part: Part, dialect: Dialect, image_price: ImagePrice) -> None:
    match part:
        case TextPart():
            material.texts.append(part.text)
        case ToolCallPart():
            material.texts += (part.name, part.arguments)
            material.add_known(TOOL_CALL_TOKENS, TOOL_CALL_TOKENS + TOOL_CALL_SLACK)
        case ToolResultPart():
            material.slack += TOOL_RESULT_SLACK
            if isinstance(part.content, str):
                material.texts.append(part.content)
            else:
                for inner in part.content:
                    _add_part(material, inner, dialect, image_price)
        case ImagePart():
            cost = image_price(part)
            material.add_known(cost.tokens, cost.upper)
        case FilePart():
            _add_file(material, part)
        case ReasoningPart():
            if dialect == "anthropic":
                _add_reasoning(material, part)
        case _:
            material.texts.append(json.dumps(dict(part.value), ensure_ascii=False))


def _add_reasoning(material: Material, part: ReasoningPart) -> None:
    """Readable reasoning is text; redacted reasoning hides a token in five characters."""
    if part.redacted:
        hidden = len(part.signature or "")
        material.add_known(hidden // 5, hidden // 3)
    else:
        material.texts.append(part.text)


def _add_file(material: Material, part: FilePart) -> None:
    """Text files are text; a PDF costs by its pages; other bytes by length, at most one in four."""
    if part.filename:
        material.texts.append(part.filename)
    if part.data is None:
        return material.add_known(UNSEEN_FILE_TOKENS, UNSEEN_FILE_UPPER)
    raw = _decoded(part.data)
    if (part.media_type or "").startswith("text/") or part.media_type == "application/json":
        return material.texts.append(raw.decode("utf-8", "replace"))
    pages = len(re.findall(rb"/Type\s*/Page(?!s)", raw))
    if pages:
        return material.add_known(pages * PDF_PAGE_TOKENS, pages * PDF_PAGE_UPPER)
    return material.add_known(len(raw) // 16, max(PDF_PAGE_UPPER, len(raw) // 4))


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return data.encode("utf-8", "surrogatepass")
