"""Messages in a provider's form as bytes: to know them again and to copy them, at the speed of C."""

from __future__ import annotations

import json
import marshal
from copy import deepcopy
from typing import Any

_PLAIN = 0
"""The version of marshal's form without references: equal values give equal bytes."""


def known_by(value: Any) -> bytes:
    """Bytes that two values share only where they are equal: plain values, as JSON has them."""
    try:
        return marshal.dumps(value, _PLAIN)
    except ValueError:
        return as_text(value).encode("utf-8", "replace")


def as_text(value: Any) -> str:
    """A value as JSON, or as Python shows it where it is none."""
    try:
        return json.dumps(value, sort_keys=True, default=repr)
    except (TypeError, ValueError):  # keys that are no text, a value that holds itself
        return repr(value)


def copied(value: Any) -> Any:
    """A deep copy."""
    try:
        return marshal.loads(marshal.dumps(value))
    except ValueError:
        return deepcopy(value)
