"""Tool-call arguments as the JSON object that the Anthropic API wants."""

from __future__ import annotations

import json
from typing import Any, NoReturn

RAW = "_raw"
"""The key under which arguments that are not a JSON object are sent."""


def tool_input(arguments: str) -> dict[str, Any]:
    """The arguments as an object; {} for none, {"_raw": arguments} where they are no object.

    What JSON in UTF-8 cannot carry (NaN, overflowing numbers, lone surrogates) counts as no object.
    """
    if not arguments.strip():
        return {}
    try:
        value: Any = _DECODER.decode(arguments)
        if isinstance(value, dict):
            if "\\u" in arguments:  # an escaped lone surrogate is JSON, but not UTF-8
                json.dumps(value, ensure_ascii=False).encode()
            return value  # pyright: ignore[reportUnknownVariableType]
        return {RAW: arguments}
    except (ValueError, RecursionError):
        return {RAW: arguments}


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if value - value == 0 else _refuse(text)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
