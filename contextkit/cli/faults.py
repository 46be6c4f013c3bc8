"""Everything that is wrong with a configuration at once: each part is read alone, then all together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from contextkit.config import read
from contextkit.errors import ConfigError


def find_faults(path: Path) -> list[str]:
    """One sentence a fault, beginning with its path; none where the file can be loaded."""
    try:
        read(path)
    except ConfigError as error:
        return list(dict.fromkeys(_of_parts(path))) or [str(error)]
    return []


def _of_parts(path: Path) -> Iterator[str]:
    """The faults that show where a part stands alone; none of a file that is no mapping."""
    try:
        parts: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return  # the file as a whole says it better
    if not isinstance(parts, Mapping):
        return
    fields = cast("Mapping[Any, Any]", parts)
    rules = {"cache_rules": fields["cache_rules"]} if "cache_rules" in fields else {}
    for name, value in fields.items():
        if name == "policies" and isinstance(value, list):
            yield from _of_policies(cast("list[Any]", value))
        else:
            beside = {} if name == "cache_rules" else rules
            yield from _of_part({**beside, name: value}, str(name))


def _of_policies(policies: list[Any]) -> list[str]:
    """Those of each policy, numbered by its place; without any, those of their order."""
    found = [
        re.sub(r"^policies\.0\b", f"policies.{index}", fault)
        for index, policy in enumerate(policies)
        for fault in _of_part({"policies": [policy]}, "policies")
    ]
    return found or _of_part({"policies": policies}, "policies")


def _of_part(part: Mapping[Any, Any], name: str) -> list[str]:
    try:
        read(part)
    except ConfigError as error:
        return re.split(rf"; (?={re.escape(name)}[.:])", str(error))
    return []
