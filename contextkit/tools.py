"""A tool that a model may call, as a frozen value; wire forms belong to `contextkit.dialects`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contextkit.messages import NO_EXTRA, Extra


@dataclass(frozen=True)
class Tool:
    """Name, description and JSON Schema of a function a model may call.

    A provider's own tool (web search, code interpreter) has its whole wire form in `extra`, its
    `dialect` named and no schema; `extra` of a function holds fields such as `strict`.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = field(default=None, hash=False)
    dialect: str = ""
    extra: Extra = field(default_factory=lambda: NO_EXTRA, hash=False)

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON of this tool: ASCII, sorted keys, no spaces."""
        value = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "dialect": self.dialect,
            "extra": dict(self.extra),
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of `canonical`, 32 bytes."""
        return hashlib.sha256(self.canonical.encode("ascii")).digest()
