"""A configuration as it was written: a file, YAML text or a mapping, with `${NAME}` filled in.

`${NAME}` and `${NAME:-default}` stand for environment variables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

from contextkit.errors import ConfigError

Source: TypeAlias = "str | Path | Mapping[str, Any] | None"

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_MERGE = "tag:yaml.org,2002:merge"
_FORMS = "give the path of a YAML file, YAML text or a dict"


def read_source(source: Source) -> tuple[Mapping[str, Any], str]:
    """The fields, and the name of the file they came from. Raises `ConfigError`."""
    if source is None:
        return {}, ""
    if isinstance(source, Mapping):
        return _substituted(source, ""), ""
    given = cast("object", source)
    if not isinstance(given, str | Path):
        raise ConfigError(f"the configuration: is a {type(given).__name__}; {_FORMS}")
    text, name = _text(given)
    try:
        return _substituted(_parsed(text, name), ""), name
    except RecursionError:
        raise ConfigError(
            f"{name or 'the YAML text'}: is nested too deeply for a configuration"
        ) from None


def _text(source: str | Path) -> tuple[str, str]:
    """The YAML text, and the name of its file where it came from one."""
    text = str(source)
    if not isinstance(source, Path):
        if not text.strip():
            raise ConfigError(f"the configuration: the text is empty; {_FORMS}")
        if "\n" in text or ":" in Path(text).name:
            return text, ""
    try:
        return Path(source).read_text(encoding="utf-8"), text
    except OSError as error:
        raise ConfigError(f"{text}: cannot be read ({error.strerror}); {_FORMS}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{text}: is not UTF-8 text ({error.reason})") from None


def _parsed(text: str, name: str) -> Mapping[str, Any]:
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}
            _check_keys(node, f"{name}: " if name else "", "", set())
            value: Any = cast("Any", loader).construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError(f"{name or 'the YAML text'}: {_place(error)}") from None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise ConfigError(f"{name or 'the YAML text'}: must be a mapping, is a {kind}; {_FORMS}")
    return cast("Mapping[str, Any]", value)


def _check_keys(node: yaml.Node, start: str, path: str, seen: set[int]) -> None:
    """Raises `ConfigError` for a key that stands twice in one mapping, where YAML takes the last."""
    if id(node) in seen:
        return
    seen.add(id(node))
    prefix = f"{path}." if path else ""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _check_keys(item, start, f"{prefix}{index}", seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        inner, line = f"{prefix}{key.value}", key.start_mark.line + 1
        written = (key.tag, str(key.value))
        if written in lines and key.tag != _MERGE:
            raise ConfigError(
                f"{start}{inner}: is written in line {lines[written]} and again in line {line}; keep one"
            )
        lines[written] = line
        _check_keys(value, start, inner, seen)


def _place(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return f"is not YAML: {error}"


def _substituted(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, path), value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {k: _substituted(v, f"{path}.{k}" if path else str(k)) for k, v in items.items()}
    if isinstance(value, list):
        rows = cast("list[Any]", value)
        return [_substituted(v, f"{path}.{i}") for i, v in enumerate(rows)]
    return value


def _variable(match: re.Match[str], path: str) -> str:
    name, default = match[1], cast("str | None", match[2])
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(
            f"{path}: the environment has no {name}; set it, or write ${{{name}:-a default}}"
        )
    return found
