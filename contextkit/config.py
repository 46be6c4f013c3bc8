"""From YAML to objects: a frozen configuration whose plug-ins are looked up by `kind`.

Errors start with the path of the field and end with what would work:
`policies.3.low_water: must be below high_water (0.9)`. How it is written: `config_source`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from contextkit import plugins
from contextkit.budget import DEFAULT_WINDOW, Budget
from contextkit.config_faults import describe, nearest, no_field
from contextkit.config_source import Source, read_source
from contextkit.errors import ConfigError, UnknownPlugin
from contextkit.policy import Policy
from contextkit.scheduler import Schedule
from contextkit.tokens.choose import estimate_note

DEFAULT_POLICIES = ("tool_results", "sliding_window", "cacheable_prefix")
"""What a configuration without `policies` gets: any length of history fits, the prefix stays put."""

_log = logging.getLogger("contextkit.config")


def _resolver(group: plugins.Group) -> BeforeValidator:
    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            value = {"kind": value}
        if isinstance(value, Mapping):
            value = _made(group, dict(cast("Mapping[str, Any]", value)))
        if fault := plugins.find_fault(group, value):
            raise _refused(fault)
        if missing := plugins.find_missing(value):
            if group != "backends":
                raise _refused(missing)
            # A proxy or an adapter counts and prices with a backend that it never asks.
            _log.warning(
                "backend: %s; until then it counts and prices, and cannot be asked", missing
            )
        return value

    return BeforeValidator(resolve)


def _made(group: plugins.Group, fields: dict[str, Any]) -> Any:
    """The plug-in that a mapping with a kind describes."""
    kind = fields.pop("kind", None)
    if not isinstance(kind, str):
        raise _refused(f"kind is missing; one of {', '.join(plugins.known(group))}")
    try:
        cls = plugins.find(group, kind)
    except UnknownPlugin as error:
        raise _refused(str(error)) from None
    except (ImportError, AttributeError) as error:
        raise _refused(
            f"{kind!r} of {plugins.origin(group, kind)} cannot be imported: {error}"
        ) from error
    if not hasattr(cls, "model_fields"):
        raise _refused(f"{cls.__name__} cannot be made from a mapping: it is no pydantic model")
    for name in fields:
        if name not in cls.model_fields:
            raise _refused(f"{name}: {no_field(cls, str(name))}")
    for name, field in cls.model_fields.items():
        if field.is_required() and name not in fields:
            such = "".join(f", such as {name}: {example}" for example in (field.examples or ())[:1])
            raise _refused(f"{name}: is required{such}")
    return cls.model_validate(fields)


def _refused(text: str) -> PydanticCustomError:
    return PydanticCustomError("plugin", "{text}", {"text": text})


PolicySpec: TypeAlias = Annotated[Any, _resolver("policies")]
BackendSpec: TypeAlias = Annotated[Any, _resolver("backends")]
HistorySpec: TypeAlias = Annotated[Any, _resolver("stores")]
VectorsSpec: TypeAlias = Annotated[Any, _resolver("vectors")]
EmbedderSpec: TypeAlias = Annotated[Any, _resolver("embedders")]


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


_SECTIONS: Mapping[str, type[BaseModel]] = {"": Config, "budget": Budget, "schedule": Schedule}


def read(source: Source = None) -> Config:
    """The configuration in a file, in YAML text or in a mapping. Raises `ConfigError`."""
    value, name = read_source(source)
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        raise ConfigError(describe(error, _SECTIONS, name)) from None
    check_order(config.policies)
    _check_provider(config)
    _check_shares(config)
    return config


def check_order(policies: tuple[Policy, ...]) -> None:
    """Raises `ConfigError` where a policy stands behind one of a later stage."""
    for index, (first, second) in enumerate(pairwise(policies)):
        if second.stage < first.stage:
            raise ConfigError(
                f"policies.{index + 1}: {second.kind} ({second.stage.name.lower()}) must stand before "
                f"{first.kind} ({first.stage.name.lower()}); the order is gather, shrink, arrange"
            )


def find_limits(config: Config) -> tuple[int, int]:
    """The window and the reply reserve in force.

    Raises `ConfigError` where a provider is asked for a model whose window is not known.
    """
    capabilities = config.backend.capabilities
    asks_provider = bool(getattr(config.backend, "sdk", ""))
    if asks_provider and config.budget.window is None and capabilities.context_window is None:
        raise ConfigError(
            f"budget.window: the window of {capabilities.model!r} is not known; set it, such as "
            "budget: {window: 128000}"
        )
    return config.budget.resolve(capabilities.context_window)


def find_notes(config: Config) -> tuple[str, ...]:
    """What a ledger has to say of every call: what was assumed because it is not known."""
    backend, notes = config.backend, list[str]()
    capabilities = backend.capabilities
    if config.budget.window is None and capabilities.context_window is None:
        notes.append(
            f"budget.window: neither the budget nor the backend names a window; {DEFAULT_WINDOW:,} "
            "tokens are assumed"
        )
    window, reserve = config.budget.resolve(capabilities.context_window)
    most = capabilities.max_input_tokens
    if most is not None and most < window - reserve:
        notes.append(
            f"{capabilities.model} takes at most {most:,} tokens of input, whatever its window: "
            f"{window - reserve - most:,} of {window:,} can only be the reply's"
        )
    if getattr(backend, "tokenizer", None) is None:
        note = estimate_note(backend.counter, capabilities.model)
        notes += [note] if note else []
    return tuple(notes)


def _check_provider(config: Config) -> None:
    """Raises `ConfigError` where the backend names a provider that has no cache rules."""
    name = getattr(config.backend, "provider", None)
    if not isinstance(name, str) or not name:
        return
    from contextkit import cache_rules

    names = cache_rules.providers()
    if name.lower() not in names and config.cache_rules:
        names = cache_rules.providers(cache_rules.load_overrides(config.cache_rules))
    if name.lower() not in names:
        raise ConfigError(
            f"backend.provider: {name!r} has no cache rules; there are {', '.join(names)}; an empty "
            f"text is for none, rows of your own go into the file of cache_rules{nearest(name, names)}"
        )


def _check_shares(config: Config) -> None:
    """Raises `ConfigError` for a share of a section that no policy fills."""
    known = {section for policy in config.policies for section in policy.sections}
    if known.issuperset(config.budget.shares):
        return
    known.update(*(plugins.find("policies", kind).sections for kind in plugins.known("policies")))
    for name in config.budget.shares:
        if name not in known:
            names = sorted(known)
            raise ConfigError(
                f"budget.shares.{name}: no policy fills a section of this name; there are "
                f"{', '.join(names)}{nearest(name, names)}"
            )


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
