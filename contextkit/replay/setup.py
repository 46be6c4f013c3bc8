"""A configuration as a replay tries it: its policies and budget, everything around them offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from contextkit.config import DEFAULT_POLICIES, read
from contextkit.errors import ReplayError
from contextkit.manager import ContextManager
from contextkit.replay.provider import WINDOW, Provider, RecordedBackend

EVERYTHING = "everything, cached"
_UNBOUNDED = 1 << 40
_OWN = ("backend", "history", "cache_rules")
"""Fields of a configuration that a replay does not go by: nothing is sent, nothing is stored."""


@dataclass(frozen=True)
class Setup:
    """A name for the table, and the fields of a configuration."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def within(self, window: int | None, reserve: int | None = None) -> Setup:
        """The same under another window, where one is given."""
        budget = dict(self.fields.get("budget") or {})
        if window is not None:
            budget["window"] = window
        if reserve is not None:
            budget["reply_reserve"] = reserve
        return Setup(self.name, {**self.fields, "budget": budget})

    def manager(self, provider: Provider) -> ContextManager:
        """The manager that assembles under this configuration. Raises `ConfigError`."""
        window = _given(self.fields, "backend", "context_window")
        if window is None:
            window = max(WINDOW, _given(self.fields, "budget", "window") or 0)
        taken = {key: value for key, value in self.fields.items() if key not in _OWN}
        if taken.get("vectors") is not None:
            taken["vectors"] = "memory"
        config = read(
            {
                **taken,
                "backend": RecordedBackend(provider, window),
                "history": "memory",
            }
        )
        manager = ContextManager.from_config(config)
        manager.rule = provider.rule
        return manager


def _given(fields: Mapping[str, Any], section: str, name: str) -> int | None:
    """A whole number in a section of a configuration, where it stands there."""
    inner = fields.get(section)
    if not isinstance(inner, Mapping):
        return None
    value = cast("Mapping[str, Any]", inner).get(name)
    return value if isinstance(value, int) else None


def everything() -> Setup:
    """The untouched history in every call, cached: what an agent does that manages nothing."""
    return Setup(
        EVERYTHING,
        {
            "backend": {"context_window": _UNBOUNDED},
            "policies": ["cacheable_prefix"],
            "budget": {"reply_reserve": 1},
        },
    )


def load_setup(path: str | Path) -> Setup:
    """The configuration in a YAML file: a whole agent.yaml, or only its list of policies."""
    file = Path(path)
    try:
        value: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ReplayError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(value, list):
        value = cast("Mapping[str, Any]", {"policies": value})
    if value is None:
        return Setup(file.stem, {"policies": list(DEFAULT_POLICIES)})
    if not isinstance(value, Mapping):
        raise ReplayError(f"{path}: must be a configuration or a list of policies")
    fields = dict(cast("Mapping[str, Any]", value))
    fields.setdefault("policies", list(DEFAULT_POLICIES))
    return Setup(file.stem, fields)
