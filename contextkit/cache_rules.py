"""Reads the table of cache rules: the shipped `data/cache_rules.yaml`, a user's own rows over it.

Shape: `as_of` and one section per provider, each with a `default` row and `models`, a mapping of
glob patterns to rows. A model row needs only what differs from the default row. The fields of a row
are those of `contextkit.pricing.CacheRule`; unknown ones are refused. Read once, on first use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from contextkit.errors import ConfigError
from contextkit.pricing import CacheRule

Row = Mapping[str, Any]

_DATED = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2})$")
_FIELDS = ", ".join(f.name for f in fields(CacheRule) if f.name not in ("provider", "pattern"))
_WILDCARD = re.compile(r"\[.+?\]|[*?]")


@dataclass(frozen=True, slots=True)
class _Section:
    """One provider's rows, not yet laid over each other; `where` starts the path of its errors."""

    where: str
    default: Row
    models: Mapping[str, Row]

    def under(self, other: _Section | None) -> _Section:
        """This section with the rows of `other` laid over it."""
        if other is None:
            return self
        models = dict(self.models)
        for pattern, row in other.models.items():
            models[pattern] = {**models.get(pattern, {}), **row}
        return _Section(other.where, {**self.default, **other.default}, models)

    def rule(self, provider: str, pattern: str) -> CacheRule:
        row = {**self.default, **self.models.get(pattern, {})}
        row_name = "default" if pattern == "*" and "*" not in self.models else f"models.{pattern}"
        return _parse(
            {**row, "provider": provider, "pattern": pattern},
            f"{self.where}.{provider}.{row_name}",
        )


_Table = Mapping[str, _Section]


def find(provider: str, model: str, overrides: Mapping[str, Any] | None) -> CacheRule | None:
    """See `contextkit.pricing.find_rule`."""
    name = provider.lower()
    table = validate(overrides, "cache_rules") if overrides else _shipped()
    section = table.get(name)
    return section.rule(name, _best_pattern(section.models, model.lower())) if section else None


def validate(data: object, where: str) -> _Table:
    """The shipped table with `data` laid over it, every row checked.

    Raises `ConfigError`: `where.provider.models.pattern.field: what is wrong`.
    """
    extra = _sections(data, where)
    merged = {**extra, **{name: row.under(extra.get(name)) for name, row in _shipped().items()}}
    for name in extra:
        for _ in _rules(name, merged[name]):
            pass
    return merged


def load_overrides(path: str | Path) -> dict[str, Any]:
    """A user's own file, checked, for the `overrides` of `find_rule`. Raises `ConfigError`."""
    try:
        data: object = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    validate(data, str(path))
    return dict(_mapping(data, str(path)))


def providers(overrides: Mapping[str, Any] | None = None) -> list[str]:
    """Whose rules there are, those of a user's own file among them, sorted."""
    return sorted(validate(overrides, "cache_rules") if overrides else _shipped())


def all_rules() -> Iterator[CacheRule]:
    """Every shipped row, default rows included."""
    for name, section in _shipped().items():
        yield from _rules(name, section)


def _rules(provider: str, section: _Section) -> Iterator[CacheRule]:
    for pattern in ("*", *section.models):
        yield section.rule(provider, pattern)


@cache
def _shipped() -> _Table:
    file = files("contextkit") / "data" / "cache_rules.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast
    return _sections(yaml.load(file.read_text("utf-8"), loader), "cache_rules.yaml")


def _sections(data: object, where: str) -> dict[str, _Section]:
    table = _mapping(data, where)
    dated = {"as_of": table["as_of"]} if "as_of" in table else {}
    sections: dict[str, _Section] = {}
    for provider, body in table.items():
        if provider == "as_of":
            continue
        path = f"{where}.{provider}"
        section = _mapping(body, path)
        for key in section.keys() - {"default", "models"}:
            raise ConfigError(f"{path}.{key}: unknown key; a provider has `default` and `models`")
        default = {**dated, **_mapping(section.get("default") or {}, f"{path}.default")}
        rows = _mapping(section.get("models") or {}, f"{path}.models")
        models = {
            pattern.lower(): {**dated, **_mapping(row or {}, f"{path}.models.{pattern}")}
            for pattern, row in rows.items()
        }
        sections[provider.lower()] = _Section(where, default, models)
    return sections


def _mapping(value: object, path: str) -> Row:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: must be a mapping, not {type(value).__name__}")
    for key in cast("Mapping[object, Any]", value):
        if not isinstance(key, str):
            raise ConfigError(f"{path}.{key}: the key must be text; put it in quotes")
    return cast("Row", value)


@cache
def _adapter() -> TypeAdapter[CacheRule]:
    return TypeAdapter(CacheRule)


def _parse(row: Row, where: str) -> CacheRule:
    # JSON, because strict validation takes lists for tuples and text for dates there only.
    try:
        return _adapter().validate_json(json.dumps(row, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join((where, *(str(part) for part in first["loc"])))
        unknown = first["type"] == "unexpected_keyword_argument" and len(first["loc"]) == 1
        what = f"unknown key; a row has {_FIELDS}" if unknown else first["msg"]
        raise ConfigError(f"{path}: {what}") from error


def _best_pattern(patterns: Mapping[str, Row], model: str) -> str:
    """The matching pattern with the most literal characters, or `*`.

    A trailing date (`-20250929`, `-2026-08-21`, `@20250929`) does not make it another model.
    """
    undated = _DATED.sub("", model)
    matching = [p for p in patterns if fnmatchcase(model, p) or fnmatchcase(undated, p)]
    return max(matching, key=_specificity, default="*")


def _specificity(pattern: str) -> tuple[int, bool, str]:
    literal = _WILDCARD.sub("", pattern)
    return len(literal), literal == pattern, pattern
