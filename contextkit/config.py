"""From YAML to objects: a frozen configuration whose plug-ins are looked up by `kind`.

`${NAME}` and `${NAME:-default}` stand for environment variables. Errors start with the path of the
field and end with what would work: `policies.3.low_water: must be below high_water (0.9)`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from contextkit import plugins
from contextkit.budget import Budget
from contextkit.errors import ConfigError, UnknownPlugin
from contextkit.policy import Policy
from contextkit.scheduler import Schedule

DEFAULT_POLICIES = ("tool_results", "sliding_window", "cacheable_prefix")
"""What a configuration without `policies` gets: any length of history fits, the prefix stays put."""

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def _resolver(group: plugins.Group) -> BeforeValidator:
    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            if getattr(value, "kind", None):
                return value
            raise PydanticCustomError(
                "plugin", "write {example} or a mapping with a kind", {"example": "a kind's name"}
            )
        fields = dict(cast("Mapping[str, Any]", value))
        kind = fields.pop("kind", None)
        if not isinstance(kind, str):
            names = ", ".join(plugins.known(group))
            raise PydanticCustomError("plugin", "kind is missing; one of {names}", {"names": names})
        try:
            cls = plugins.find(group, kind)
        except UnknownPlugin as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from None
        for name in fields:
            if name not in cls.model_fields:
                raise PydanticCustomError("plugin", "{text}", {"text": f"{name}: {_no_field(cls)}"})
        return cls.model_validate(fields)

    return BeforeValidator(resolve)


PolicySpec: TypeAlias = Annotated[Any, _resolver("policies")]
BackendSpec: TypeAlias = Annotated[Any, _resolver("backends")]
HistorySpec: TypeAlias = Annotated[Any, _resolver("stores")]
VectorsSpec: TypeAlias = Annotated[Any, _resolver("vectors")]
EmbedderSpec: TypeAlias = Annotated[Any, _resolver("embedders")]


def _no_field(model: type[BaseModel]) -> str:
    return f"there is no such field; there are {', '.join(model.model_fields) or 'none'}"


class Config(BaseModel):
    """What `agent.yaml` says, validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    backend: BackendSpec = Field(
        default_factory=lambda: {"kind": "echo"}, validate_default=True, description="Who answers"
    )
    budget: Budget = Field(default_factory=Budget, description="How many tokens a call may take")
    history: HistorySpec = Field(
        default_factory=lambda: {"kind": "memory"},
        validate_default=True,
        description="Where threads are kept",
    )
    vectors: VectorsSpec | None = Field(default=None, description="Where vectors are kept")
    embedder: EmbedderSpec | None = Field(
        default=None,
        description="What turns texts into vectors; without one, words alone are found",
    )
    policies: tuple[PolicySpec, ...] = Field(
        default=DEFAULT_POLICIES,
        validate_default=True,
        description="Applied in this order; an empty list leaves out nothing",
    )
    max_message_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="Larger messages are refused"
    )
    cache_rules: str | None = Field(
        default=None,
        description="Path of a YAML file whose rows come before the shipped cache rules",
    )
    schedule: Schedule | None = Field(
        default_factory=Schedule,
        description="When edits of the cached prefix are made; null: as soon as a policy asks",
    )


def read(source: str | Path | Mapping[str, Any]) -> Config:
    """The configuration in a file, in YAML text or in a mapping. Raises `ConfigError`."""
    value, name = _value(source)
    try:
        config = Config.model_validate(_substitute(value, ""))
    except ValidationError as error:
        raise ConfigError(describe(error, name)) from None
    check_order(config.policies)
    return config


def check_order(policies: tuple[Policy, ...]) -> None:
    """Raises `ConfigError` where a policy stands behind one of a later stage."""
    for index, (first, second) in enumerate(pairwise(policies)):
        if second.stage < first.stage:
            raise ConfigError(
                f"policies.{index + 1}: {second.kind} ({second.stage.name.lower()}) must stand before "
                f"{first.kind} ({first.stage.name.lower()}); the order is gather, shrink, arrange"
            )


def _value(source: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, Mapping):
        return source, ""
    name, text = "", str(source)
    if isinstance(source, Path) or ("\n" not in text and ":" not in Path(text).name):
        name = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{name}: cannot be read ({error.strerror}); give the path of a YAML file, "
                "YAML text or a dict"
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name}: is not UTF-8 text ({error.reason})") from None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name or 'the YAML text'}: {_yaml_place(error)}") from None
    if value is None:
        return {}, name
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{name or 'the YAML text'}: must be a mapping, is a {type(value).__name__}"
        )
    return value, name  # pyright: ignore[reportUnknownVariableType]


def _yaml_place(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return f"is not YAML: {error}"


def _substitute(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, path), value)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {k: _substitute(v, f"{path}.{k}" if path else str(k)) for k, v in items.items()}
    if isinstance(value, list):
        rows = cast("list[Any]", value)
        return [_substitute(v, f"{path}.{i}") for i, v in enumerate(rows)]
    return value


def _variable(match: re.Match[str], path: str) -> str:
    name, default = match[1], cast("str | None", match[2])
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(
            f"{path}: the environment has no {name}; set it, or write ${{{name}:-a default}}"
        )
    return found


def describe(error: ValidationError, name: str = "") -> str:
    """One line a fault: the field's path, what is wrong, what would work."""
    lines: list[str] = []
    for fault in error.errors():
        path = ".".join(str(step) for step in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        nested = message.split(": ", 1)
        if (
            fault["type"] in ("value_error", "plugin")
            and len(nested) == 2
            and nested[0].replace("_", "").isidentifier()
        ):
            path, message = f"{path}.{nested[0]}".lstrip("."), nested[1]
        if fault["type"] == "extra_forbidden":
            message = _no_field(Config if len(fault["loc"]) == 1 else Budget)
        if fault["type"] == "tuple_type":
            message = "must be a list"
        lines.append(f"{path}: {message}" if path else message)
    return (f"{name}: " if name else "") + "; ".join(lines)


def schema() -> dict[str, Any]:
    """The JSON Schema of the whole configuration with every installed plug-in."""
    definitions: dict[str, Any] = {}
    refs: dict[plugins.Group, list[dict[str, str]]] = {}
    for group in plugins.GROUPS:
        for kind in plugins.known(group):
            model = plugins.find(group, kind).model_json_schema(ref_template="#/$defs/{model}")
            definitions.update(model.pop("$defs", {}))
            model.setdefault("properties", {})["kind"] = {"const": kind}
            model["required"] = ["kind", *model.get("required", [])]
            definitions[f"{group}.{kind}"] = model
            refs.setdefault(group, []).append({"$ref": f"#/$defs/{group}.{kind}"})
    top = Config.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(top.pop("$defs", {}))
    plural: dict[str, plugins.Group] = {
        "backend": "backends",
        "history": "stores",
        "vectors": "vectors",
        "embedder": "embedders",
    }
    for name, group in plural.items():
        described = top["properties"][name].get("description", "")
        top["properties"][name] = {"description": described, **_one_of(group, refs)}
    top["properties"]["policies"] = {
        "description": top["properties"]["policies"]["description"],
        "type": "array",
        "items": _one_of("policies", refs),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": "contextkit",
        "$defs": definitions,
    }


def _one_of(
    group: plugins.Group, refs: Mapping[plugins.Group, list[dict[str, str]]]
) -> dict[str, Any]:
    bare = plugins.known(group)
    return {"anyOf": [{"enum": bare}, *refs.get(group, [])]}
