"""The four tools as a model is offered them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from contextkit.tools import Tool

EXPAND, SEARCH, REMEMBER, COMPACT = "expand", "search_history", "remember", "compact"


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_EXPAND = Tool(
    EXPAND,
    "Bring back what was left out of this conversation, word for word, by its handle: a message (m17), a "
    "range of messages (m3-17), a document (d2) or a part of one (d2.4).",
    _object(
        ("handle",),
        handle={"type": "string", "description": "A handle, such as m17, m3-17, d2 or d2.4"},
        offset={
            "type": "integer",
            "minimum": 0,
            "description": "Characters to pass over, where an earlier answer was cut and says so",
        },
    ),
)
_SEARCH = Tool(
    SEARCH,
    "Search the whole conversation and its documents, what is no longer shown included. Answers with "
    "passages and their handles.",
    _object(
        ("query",),
        query={"type": "string", "description": "What to look for, in a few words"},
        limit={
            "type": "integer",
            "minimum": 1,
            "maximum": 20,
            "description": "Passages at most; 5 unless told",
        },
    ),
)
_REMEMBER = Tool(
    REMEMBER,
    "Keep a note for later in this conversation: a fact, a decision, a figure that will be needed. It can "
    "be searched and expanded after the messages around it have left.",
    _object(
        ("text",), text={"type": "string", "description": "The note, complete without its context"}
    ),
)
_COMPACT = Tool(
    COMPACT,
    "Make room: messages before the current request that do not bear on the focus leave the context, and "
    "can be brought back by their handles.",
    _object(
        (),
        focus={
            "type": "string",
            "description": "What is still needed, in a few words; nothing of the past if left out",
        },
    ),
)

TOOLS = MappingProxyType({tool.name: tool for tool in (_EXPAND, _SEARCH, _REMEMBER, _COMPACT)})
"""By name."""
NAMES = tuple(TOOLS)
