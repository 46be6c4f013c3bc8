"""Small checks that the three rule books use."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Findings:
    """The problems found so far."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def need(self, condition: object, where: str, why: str) -> bool:
        """Note a problem where the condition does not hold; gives the condition back."""
        if not condition:
            self.found.append(f"{where}: {why}")
        return bool(condition)

    def fields(self, value: Mapping[str, Any], needed: str, allowed: str, where: str) -> None:
        """Note fields that are missing or that the provider does not know (words of a string)."""
        for name in needed.split():
            self.need(name in value, f"{where}.{name}", "is missing")
        for name in value.keys() - set(needed.split()) - set(allowed.split()):
            self.need(False, f"{where}.{name}", "is not a field the provider knows")

    def text(self, value: Any, where: str, *, empty: bool = False) -> bool:
        """Note what is not text, or blank text."""
        if not self.need(isinstance(value, str), where, "must be text"):
            return False
        return self.need(empty or value.strip(), where, "must not be empty")

    def call_id(self, value: Any, where: str, limit: int, pattern: str = r".+") -> None:
        """Note an id the provider would not take."""
        good = (
            isinstance(value, str)
            and len(value) <= limit
            and re.fullmatch(pattern, value, re.DOTALL)
        )
        self.need(good, where, f"{value!r} is not an id of at most {limit} characters")

    def tool_name(self, value: Any, where: str) -> None:
        """Note a name that is no function's."""
        self.need(isinstance(value, str) and _NAME.fullmatch(value), where, f"{value!r} is no name")

    def is_json(self, request: Mapping[str, Any]) -> bool:
        """Note a request that cannot be sent as JSON in UTF-8."""
        try:
            json.dumps(request, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            return self.need(False, "request", f"cannot be sent: {error}")
        return True


def items(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list; what is none of them becomes empty."""
    if not isinstance(value, list):
        return []
    listed = cast("Sequence[Any]", value)
    return [cast("Mapping[str, Any]", i) if isinstance(i, Mapping) else {} for i in listed]


def unanswered(asked: Collection[str], answered: Collection[str]) -> list[str]:
    """The calls without a result, in order."""
    return [call for call in asked if call not in answered]
